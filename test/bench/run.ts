/**
 * `npm run bench`: the cost of enforcement, compared with other libraries.
 *
 * npm run bench everything
 * npm run bench -- pool cold these
 * npm run bench -- --quick checks that they work, without judging speed
 * npm run bench -- --json for programs
 *
 * @module
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import type { Findings, Mode } from './benchmark.js'
import { isMet } from './benchmark.js'
import { BENCHMARKS } from './benchmarks/index.js'
import { compile } from './compile.js'
import { tableHead, tableRows } from './table.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, quick: { type: 'boolean' } },
})
const mode: Mode = values.quick ? 'quick' : 'full'
const names = positionals.length > 0 ? positionals : Object.keys(BENCHMARKS)
const unknown = names.filter((name) => !(name in BENCHMARKS))
if (unknown.length > 0) {
  const known = Object.keys(BENCHMARKS).join(', ')
  console.error(`There is no benchmark ${unknown.join(', ')}. There are: ${known}`)
  process.exit(2)
}

const say = values.json ? () => undefined : console.log
const begin = performance.now()
const machine = { cpu: cpus()[0]?.model ?? 'unknown', cpus: cpus().length, node: process.version }
const date = new Date().toISOString().slice(0, 10)
say(`${date}, Node ${machine.node}, ${machine.cpus} x ${machine.cpu}\n\n${tableHead()}`)

const entry = await compile()
const all: Findings[] = []
for (const name of names) {
  const findings = await inItsProcess(name)
  all.push(findings)
  say(`${tableRows(findings, mode)}\n`)
}
const seconds = Math.round((performance.now() - begin) / 1000)
say(`${mode === 'quick' ? 'All work' : 'Done'}, in ${seconds} s`)
if (values.json) {
  const rows = all.flatMap((findings) => findings.rows)
  const judged = rows.map((row) => (mode === 'full' ? { ...row, met: isMet(row) } : row))
  const skipped = all.flatMap((findings) => findings.skipped ?? [])
  console.log(JSON.stringify({ date, ...machine, mode, seconds, rows: judged, skipped }, null, 2))
}

/** Runs one benchmark without leftovers of others in the heap or in compiled code. */
async function inItsProcess(name: string): Promise<Findings> {
  const child = fork(entry, [name, mode], { execArgv: ['--expose-gc'] })
  let findings: Findings | undefined
  child.once('message', (message) => {
    findings = message as Findings
  })
  const [code] = await once(child, 'exit')
  if (code !== 0 || findings === undefined) {
    throw new Error(`The benchmark ${name} did not come to its end (exit code ${code})`)
  }
  return findings
}
