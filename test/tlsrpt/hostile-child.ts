/** Reads one hostile file in a process of its own, and tells what it cost. */
import { readFileSync, writeFileSync } from 'node:fs'
import { ReportSyntaxError, readReports } from '../../src/tlsrpt/parse.js'
import { HOSTILE_FILES } from './hostile-files.js'

/** What the process takes at its most, in MiB; `maxRSS` begins with what its parent took. */
function peak(): number {
  const status = readFileSync('/proc/self/status', 'utf8')
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024
}

const make = HOSTILE_FILES[process.argv[2] ?? '']
if (make === undefined) throw new Error(`There is no file of ${process.argv[2]}`)
const bytes = make()
globalThis.gc?.()
const before = process.memoryUsage().rss / 1024 / 1024
// From here on the peak is counted anew
writeFileSync('/proc/self/clear_refs', '5')
const { user, system } = process.cpuUsage()
let outcome = ''
try {
  outcome = `${readReports(bytes).length} reports`
} catch (error) {
  outcome = error instanceof ReportSyntaxError ? error.code : String(error)
}
// Processor time, over all threads: other processes on the machine do not count
const cost = process.cpuUsage()
const milliseconds = (cost.user + cost.system - user - system) / 1000
process.stdout.write(JSON.stringify({ outcome, milliseconds, mebibytes: peak() - before }))
