/**
 * One benchmark in a process of its own: `one.js NAME MODE`. What it finds goes to the process
 * that has started it, or to the terminal when there is none (`node --cpu-prof`).
 *
 * @module
 */
import type { Findings, Mode } from './benchmark.js'
import { BENCHMARKS } from './benchmarks/index.js'
import { tableHead, tableRows } from './table.js'

const [, , name = '', mode = 'full'] = process.argv
const benchmark = BENCHMARKS[name]
if (benchmark === undefined) throw new Error(`There is no benchmark ${name}`)
const findings = await benchmark(mode as Mode)
hand(findings, mode as Mode)

function hand(found: Findings, as: Mode): void {
  if (process.send) process.send(found, () => process.disconnect())
  else console.log(`${tableHead()}\n${tableRows(found, as)}`)
}
