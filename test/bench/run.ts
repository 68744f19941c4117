/**
 * `npm run bench`: the cost of enforcement, compared with other libraries.
 *
 *     npm run bench                 everything
 *     npm run bench -- pool cold    these
 *     npm run bench -- --quick      do they work? Says nothing about speed
 *     npm run bench -- --json       for programs
 *     npm run bench -- --markdown   the table of docs/benchmarks.md
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
import { markdownHead, markdownRows, tableHead, tableRows } from './table.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean' },
    quick: { type: 'boolean' },
    markdown: { type: 'boolean' },
  },
})
const mode: Mode = values.quick ? 'quick' : 'full'
const names = positionals.length > 0 ? positionals : Object.keys(BENCHMARKS)
const unknown = names.filter((name) => !(name in BENCHMARKS))
if (unknown.length > 0) {
  const known = Object.keys(BENCHMARKS).join(', ')
  console.error(`There is no benchmark ${unknown.join(', ')}. There are: ${known}`)
  process.exit(2)
}

const begin = performance.now()
const machine = { cpu: cpus()[0]?.model ?? 'unknown', cpus: cpus().length, node: process.version }
const date = new Date().toISOString().slice(0, 10)
const where = `${date}, Node ${machine.node}, ${machine.cpus} x ${machine.cpu}`
const say = values.json || values.markdown ? () => undefined : console.log
say(`${where}\n\n${tableHead()}`)

const compiled = await compile()
const all: Findings[] = []
for (const name of names) {
  const findings = await inItsProcess(name)
  all.push(findings)
  say(`${tableRows(findings, mode)}\n`)
}
await compiled.remove()
const seconds = Math.round((performance.now() - begin) / 1000)
const rows = all.flatMap((findings) => findings.rows)
const skipped = all.flatMap((findings) => findings.skipped ?? [])
say(`${mode === 'quick' ? 'All work' : 'Done'}, in ${seconds} s`)
if (values.json) {
  const judged = rows.map((row) => (mode === 'full' ? { ...row, met: isMet(row) } : row))
  console.log(JSON.stringify({ date, ...machine, mode, seconds, rows: judged, skipped }, null, 2))
} else if (values.markdown) {
  const lines = [`Measured on ${where}.`, '', markdownHead(), ...all.map(markdownRows)]
  console.log([...lines, '', ...skipped.map((line) => `Skipped: ${line}`)].join('\n'))
}

/** Runs one benchmark without leftovers of others in the heap or in compiled code. */
async function inItsProcess(name: string): Promise<Findings> {
  const child = fork(compiled.entry, [name, mode], { execArgv: ['--expose-gc'] })
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
