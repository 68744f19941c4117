/** Any report takes bounded processor time and 200 MiB at most. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ROOT } from '../package/packed.js'
import { HOSTILE_FILES } from './hostile-files.js'

interface Cost {
  outcome: string
  ratio: number
  mebibytes: number
}

/** In addition to Node itself */
const MAX_MEBIBYTES = 200

/** Processor time relative to ordinary JSON; the guarded faults took 100 times more */
const MAX_RATIO = 80

describe.runIf(existsSync('/proc/self/clear_refs'))('readReports', () => {
  let folder = ''
  let program = ''
  // One file starts twice as fast as the sources do; the packages that it needs are above it
  beforeAll(async () => {
    folder = await mkdtemp(join(ROOT, 'node_modules', '.hostile-'))
    program = join(folder, 'child.mjs')
    await build({
      ...{ entryPoints: [join(ROOT, 'test/tlsrpt/hostile-child.ts')], outfile: program },
      ...{ bundle: true, packages: 'external', platform: 'node', format: 'esm' },
    })
  })
  afterAll(() => rm(folder, { recursive: true }))

  /** In a process of its own, whose memory nothing else has used. */
  async function costOf(name: string): Promise<Cost> {
    const { NODE_OPTIONS: _, ...env } = process.env
    const argv = ['--expose-gc', program, name]
    const { stdout } = await promisify(execFile)(process.execPath, argv, { env })
    return JSON.parse(stdout)
  }

  it.each(Object.keys(HOSTILE_FILES))(
    '[RPT-17] reads %s within bounds of time and memory',
    async (name) => {
      const { outcome, ratio, mebibytes } = await costOf(name)
      expect(outcome).toMatch(/^(?:EREPORTSYNTAX|\d+ reports)$/)
      expect(mebibytes).toBeLessThan(MAX_MEBIBYTES)
      expect(ratio).toBeLessThan(MAX_RATIO)
    },
  )
})
