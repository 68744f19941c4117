/**
 * The cost of an import for a starting program: time and memory.
 *
 * @module
 */
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { promisify } from 'node:util'
import { installedPackage } from '../../package/packed.js'
import { atMost, type Benchmark, MANY_SHORT, pairedRow, planFor } from '../benchmark.js'
import { alternate, spread } from '../pairs.js'

export const start: Benchmark = async (mode) => {
  const folder = await installedPackage('nodemailer')
  const plan = planFor(mode, MANY_SHORT)
  const memory = { core: [] as number[], transport: [] as number[], nodemailer: [] as number[] }
  const leg = (side: keyof typeof memory, modules: readonly string[]) => async () => {
    const cost = await importing(modules, folder)
    memory[side].push(cost.bytes / 1024)
    return cost.ms
  }
  const times = await alternate(
    {
      core: leg('core', ['mta-sts']),
      transport: leg('transport', ['nodemailer', 'mta-sts/nodemailer']),
      nodemailer: leg('nodemailer', ['nodemailer']),
    },
    plan,
  )
  await rm(folder, { recursive: true })
  const counted = (values: readonly number[]) => ({ values: values.slice(plan.warmUps) })
  const transport = 'of nodemailer and mta-sts/nodemailer into bare node'
  const beside = 'import of nodemailer alone'
  return {
    rows: [
      {
        name: 'start',
        what: 'time to import mta-sts into bare node',
        unit: 'ms',
        ours: spread(times.core.values),
        target: atMost(8),
      },
      pairedRow(
        { ours: times.transport, theirs: times.nodemailer },
        {
          name: 'start',
          what: `time of the import ${transport}`,
          beside,
          unit: 'ms',
          by: 'difference',
          target: atMost(10, 'compared'),
        },
      ),
      pairedRow(
        { ours: counted(memory.transport), theirs: counted(memory.nodemailer) },
        {
          name: 'start',
          what: `heap after the import ${transport}`,
          beside,
          unit: 'KB',
          by: 'difference',
        },
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
