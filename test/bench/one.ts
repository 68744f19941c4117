/**
 * One benchmark in a separate process: `one.js NAME MODE`. Its findings go to the parent process,
 * or to the terminal without one (`node --cpu-prof`).
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
