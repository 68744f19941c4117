/** Whatever a report is made of, reading it takes about a second and 200 MiB at most. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { HOSTILE_FILES } from './hostile-files.js'

const CHILD = fileURLToPath(new URL('./hostile-child.ts', import.meta.url))

interface Cost {
  outcome: string
  milliseconds: number
  mebibytes: number
}

/** Without the 45 MiB that Node itself takes */
const MAX_MEBIBYTES = 155

async function costOf(name: string): Promise<Cost> {
  const { NODE_OPTIONS: _, ...env } = process.env
  const argv = ['--expose-gc', '--import', 'tsx', CHILD, name]
  const { stdout } = await promisify(execFile)(process.execPath, argv, { env })
  return JSON.parse(stdout)
}

describe.runIf(existsSync('/proc/self/clear_refs'))('readReports', () => {
  it.each(Object.keys(HOSTILE_FILES))(
    '[RPT-17] bounds what %s cost',
    async (name) => {
      const { outcome, milliseconds, mebibytes } = await costOf(name)
      expect(outcome).toMatch(/^(?:EREPORTSYNTAX|\d+ reports)$/)
      expect(mebibytes).toBeLessThan(MAX_MEBIBYTES)
      // The bound is 1,000; processors differ, and what it guards against took 10,000 and more
      expect(milliseconds).toBeLessThan(2500)
    },
    60_000,
  )
})
