/** Reads one hostile file in a separate process, and reports the cost. */
import { readFileSync, writeFileSync } from 'node:fs'
import { ReportSyntaxError, readReports } from '../../src/tlsrpt/parse.js'
import { HOSTILE_FILES } from './hostile-files.js'

/** Processor time of all threads since another reading of it, in milliseconds. */
function millisecondsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

/** Processor time of reading 10 MB of ordinary JSON: the unit of the cost. */
function unit(): number {
  const row = { 'organization-name': 'Example', count: 1, nested: { list: [1, 2, 3] } }
  const text = JSON.stringify(Array.from({ length: 12_000 }, () => row))
  const start = process.cpuUsage()
  for (let round = 0; round < 10; round++) JSON.parse(text)
  return millisecondsSince(start)
}

/** The peak memory of the process, in MiB; `maxRSS` begins with that of its parent. */
function peak(): number {
  const status = readFileSync('/proc/self/status', 'utf8')
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024
}

const make = HOSTILE_FILES[process.argv[2] ?? '']
if (make === undefined) throw new Error(`There is no file of ${process.argv[2]}`)
const bytes = make()
globalThis.gc?.()
const before = process.memoryUsage().rss / 1024 / 1024
// From here on the peak is measured again
writeFileSync('/proc/self/clear_refs', '5')
const start = process.cpuUsage()
let outcome = ''
try {
  outcome = `${readReports(bytes).length} reports`
} catch (error) {
  outcome = error instanceof ReportSyntaxError ? error.code : String(error)
}
const milliseconds = millisecondsSince(start)
const mebibytes = peak() - before
process.stdout.write(JSON.stringify({ outcome, ratio: milliseconds / unit(), mebibytes }))
