/** Runs `mta-sts report` on a folder in a process of its own, and tells what it cost. */
import { readFileSync, writeFileSync } from 'node:fs'
import { run } from '../../src/cli/run.js'

const memory = () =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024

const before = process.memoryUsage().rss / 1024 / 1024
// From here on the peak is counted anew
writeFileSync('/proc/self/clear_refs', '5')
const { user, system } = process.cpuUsage()
let text = ''
let turns = 0
const timer = setInterval(() => turns++, 1)
const output = {
  write: (part: string) => {
    text += part
  },
}
await run(['report', process.argv[2] ?? ''], { stdout: output, stderr: output, env: {} })
clearInterval(timer)
const cost = process.cpuUsage()
process.stdout.write(
  JSON.stringify({
    last: text.trim().split('\n').at(-1),
    turns,
    milliseconds: (cost.user + cost.system - user - system) / 1000,
    mebibytes: memory() - before,
  }),
)
