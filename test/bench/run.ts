/**
 * `npm run bench`: the cost of enforcement, compared with other libraries.
 *
 *     npm run bench                 everything
 *     npm run bench -- pool cold    these
 *     npm run bench -- --quick      do they work? Says nothing about speed
 *     npm run bench -- --json       for programs
 *     npm run bench -- --markdown   the table of docs/benchmarks.md
 *     npm run bench -- --docs       writes that table into the page, and the short one into README
 *
 * @module
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import type { Findings, Mode } from './benchmark.js'
import { isMet } from './benchmark.js'
import { BENCHMARKS } from './benchmarks/index.js'
import { compile } from './compile.js'
import { readmeTable } from './readme-table.js'
import { markdownHead, markdownRows, tableHead, tableRows } from './table.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean' },
    quick: { type: 'boolean' },
    markdown: { type: 'boolean' },
    docs: { type: 'boolean' },
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

const entry = await compile()
const all: Findings[] = []
for (const name of names) {
  const findings = await inItsProcess(name)
  all.push(findings)
  say(`${tableRows(findings, mode)}\n`)
}
const seconds = Math.round((performance.now() - begin) / 1000)
const rows = all.flatMap((findings) => findings.rows)
const skipped = all.flatMap((findings) => findings.skipped ?? [])
say(`${mode === 'quick' ? 'All work' : 'Done'}, in ${seconds} s`)
if (values.json) {
  const judged = rows.map((row) => (mode === 'full' ? { ...row, met: isMet(row) } : row))
  console.log(JSON.stringify({ date, ...machine, mode, seconds, rows: judged, skipped }, null, 2))
}
const measured = `Measured on ${where}.\n\n`
const lines = [markdownHead(), ...all.map(markdownRows)]
const table = [...lines, ...skipped.map((line) => `\nSkipped: ${line}`)].join('\n')
if (values.markdown) console.log(`${measured}${table}`)
if (values.docs) {
  await writeTable('docs/benchmarks.md', `${measured}${table}`)
  await writeTable('README.md', `${measured}${readmeTable(all)}`)
}

/** Replaces the table between the two marks of a page. */
async function writeTable(name: string, text: string): Promise<void> {
  const page = new URL(`../../${name}`, import.meta.url)
  const begin = '<!-- npm run bench -- --docs -->\n'
  const before = await readFile(page, 'utf8')
  if (!before.includes(begin)) throw new Error(`${name} has no mark for the table`)
  const head = before.slice(0, before.indexOf(begin) + begin.length)
  await writeFile(page, `${head}${text}\n${before.slice(before.indexOf('<!-- end -->'))}`)
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
