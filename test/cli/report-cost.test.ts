/** A Maildir of a month: what reading it costs. */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { writeMaildir } from './report-month.js'

const CHILD = fileURLToPath(new URL('./report-cost-child.mts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'mta-sts-month-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe.runIf(existsSync('/proc/self/clear_refs'))('a Maildir of a month', () => {
  it('is read in seconds, in little memory, and with turns of the event loop', async () => {
    const reports = writeMaildir(folder).length
    const { NODE_OPTIONS: _, ...env } = process.env
    const argv = ['--import', 'tsx', CHILD, folder]
    const { stdout } = await promisify(execFile)(process.execPath, argv, { env })
    const { last, turns, milliseconds, mebibytes } = JSON.parse(stdout)
    expect(last).toBe(`${String(reports).replace(/(\d)(\d{3})$/, '$1,$2')} reports from 20 senders`)
    // Of processor time: about one second on an idle machine, and more where others share its cache
    expect(milliseconds).toBeLessThan(5000)
    // Beside the 45 MiB that Node itself takes: 150 MiB together
    expect(mebibytes).toBeLessThan(105)
    expect(turns).toBeGreaterThan(5)
  })
})
