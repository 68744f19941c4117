/**
 * The cost of an import for a starting program: time and memory.
 *
 * @module
 */
import { execFile } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { installedPackage } from '../../package/packed.js'
import { atMost, type Benchmark, MANY_SHORT, pairedRow, planFor } from '../benchmark.js'
import { alternate } from '../pairs.js'

/** A package that holds nothing: what Node needs for the import of any package. */
const NOTHING = 'nothing'

export const start: Benchmark = async (mode) => {
  const folder = await installedPackage('nodemailer')
  const nothing = join(folder, 'node_modules', NOTHING)
  await mkdir(nothing)
  const manifest = { name: NOTHING, type: 'module', exports: './index.js' }
  await writeFile(join(nothing, 'package.json'), JSON.stringify(manifest))
  await writeFile(join(nothing, 'index.js'), 'export const nothing = undefined\n')
  await writeFile(join(folder, PROGRAM), SOURCE)

  const transport = ['nodemailer', 'mta-sts/nodemailer']
  const imports = { core: ['mta-sts'], nothing: [NOTHING], transport, nodemailer: ['nodemailer'] }
  const legs = (field: keyof Cost) => {
    const leg = (modules: readonly string[]) => async () =>
      (await importing(modules, folder, field))[field]
    return {
      core: leg(imports.core),
      nothing: leg(imports.nothing),
      transport: leg(imports.transport),
      nodemailer: leg(imports.nodemailer),
    }
  }
  const times = await alternate(legs('ms'), planFor(mode, MANY_SHORT))
  const memory = await alternate(legs('kilobytes'), planFor(mode))
  await rm(folder, { recursive: true })
  const what = 'of nodemailer and mta-sts/nodemailer into bare node'
  const common = { name: 'start', by: 'difference' } as const
  return {
    rows: [
      pairedRow(
        { ours: times.core, theirs: times.nothing },
        {
          ...common,
          what: 'time to import mta-sts into bare node',
          beside: 'import of an empty package',
          unit: 'ms',
          target: atMost(8, 'compared'),
        },
      ),
      pairedRow(
        { ours: times.transport, theirs: times.nodemailer },
        {
          ...common,
          what: `time of the import ${what}`,
          beside: 'import of nodemailer alone',
          unit: 'ms',
          target: atMost(10, 'compared'),
        },
      ),
      pairedRow(
        { ours: memory.transport, theirs: memory.nodemailer },
        {
          ...common,
          what: `heap after the import ${what}`,
          beside: 'import of nodemailer alone',
          unit: 'KB',
        },
      ),
    ],
  }
}

interface Cost {
  ms: number
  kilobytes: number
}

const PROGRAM = 'program.mjs'

const SOURCE = `
  const [, , ...modules] = process.argv
  const use = () => (globalThis.gc?.(), process.memoryUsage())
  const before = use()
  const begin = performance.now()
  const held = []
  for (const module of modules) held.push(await import(module))
  const ms = performance.now() - begin
  const after = use()
  const kilobytes = (after.heapUsed + after.external - before.heapUsed - before.external) / 1024
  if (held.some((module) => Object.keys(module).length === 0)) throw new Error('Nothing was there')
  process.stdout.write(JSON.stringify({ ms, kilobytes }))
`

/**
 * Imports into a program of its own. Only the program that is asked for its memory has a flag of V8:
 * with any such flag Node refuses the compiled code of its own modules that it carries, and loading
 * them takes twice as long.
 */
async function importing(
  modules: readonly string[],
  folder: string,
  field: keyof Cost,
): Promise<Cost> {
  const flags = field === 'kilobytes' ? ['--expose-gc'] : []
  const args = [...flags, PROGRAM, ...modules]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder })
  return JSON.parse(stdout) as Cost
}
