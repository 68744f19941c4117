/**
 * The cost of an import for a starting program: time and memory.
 *
 * @module
 */
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { promisify } from 'node:util'
import { installedPackage } from '../../package/packed.js'
import { type Benchmark, MANY_SHORT, pairedRow, planFor } from '../benchmark.js'
import { alternate } from '../pairs.js'

export const start: Benchmark = async (mode) => {
  const folder = await installedPackage('nodemailer')
  const bytes = { ours: [] as number[], theirs: [] as number[] }
  const leg = (side: 'ours' | 'theirs', modules: readonly string[]) => async () => {
    const cost = await importing(modules, folder)
    bytes[side].push(cost.bytes)
    return cost.ms
  }
  const plan = planFor(mode, MANY_SHORT)
  const ours = leg('ours', ['mta-sts', 'mta-sts/nodemailer'])
  const theirs = leg('theirs', ['nodemailer'])
  const times = await alternate({ ours, theirs }, plan)
  await rm(folder, { recursive: true })
  const what = 'import of mta-sts and mta-sts/nodemailer into bare node'
  const beside = 'import of nodemailer alone, which is among them'
  return {
    rows: [
      pairedRow(times, {
        name: 'start',
        what: `time to ${what}`,
        beside,
        unit: 'ms',
        by: 'difference',
        target: { of: 'compared', bound: 'at-most', value: 15 },
      }),
      pairedRow(
        {
          ours: bytes.ours.slice(plan.warmUps).map(toKilobytes),
          theirs: bytes.theirs.slice(plan.warmUps).map(toKilobytes),
        },
        { name: 'start', what: `heap after ${what}`, beside, unit: 'KB', by: 'difference' },
      ),
    ],
  }
}

const PROGRAM = `
  const [, ...modules] = process.argv
  const use = () => (globalThis.gc(), process.memoryUsage())
  const before = use()
  const begin = performance.now()
  const held = []
  for (const module of modules) held.push(await import(module))
  const ms = performance.now() - begin
  const after = use()
  const bytes = after.heapUsed + after.external - before.heapUsed - before.external
  if (held.some((module) => Object.keys(module).length === 0)) throw new Error('Nothing was there')
  process.stdout.write(JSON.stringify({ ms, bytes }))
`

/** In a separate process of a program with the installed package. */
async function importing(
  modules: readonly string[],
  folder: string,
): Promise<{ ms: number; bytes: number }> {
  const args = ['--expose-gc', '--input-type=module', '--eval', PROGRAM, '--', ...modules]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder })
  return JSON.parse(stdout) as { ms: number; bytes: number }
}

function toKilobytes(bytes: number): number {
  return bytes / 1024
}
