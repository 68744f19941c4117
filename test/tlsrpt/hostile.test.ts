/** Any report takes bounded processor time and 200 MiB at most. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { HOSTILE_FILES } from './hostile-files.js'

const CHILD = fileURLToPath(new URL('./hostile-child.ts', import.meta.url))

interface Cost {
  outcome: string
  ratio: number
  mebibytes: number
}

/** In addition to Node itself */
const MAX_MEBIBYTES = 200

/** Processor time relative to ordinary JSON; the guarded faults took 100 times more */
const MAX_RATIO = 80

async function costOf(name: string): Promise<Cost> {
  const { NODE_OPTIONS: _, ...env } = process.env
  const argv = ['--expose-gc', '--import', 'tsx', CHILD, name]
  const { stdout } = await promisify(execFile)(process.execPath, argv, { env })
  return JSON.parse(stdout)
}

describe.runIf(existsSync('/proc/self/clear_refs'))('readReports', () => {
  it.each(Object.keys(HOSTILE_FILES))(
    '[RPT-17] reads %s within bounds of time and memory',
    async (name) => {
      const { outcome, ratio, mebibytes } = await costOf(name)
      expect(outcome).toMatch(/^(?:EREPORTSYNTAX|\d+ reports)$/)
      expect(mebibytes).toBeLessThan(MAX_MEBIBYTES)
      expect(ratio).toBeLessThan(MAX_RATIO)
    },
    60_000,
  )
})
