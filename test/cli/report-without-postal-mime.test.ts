/** `mta-sts report` and `readReports` where the package that reads mails is not installed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { formatReport, readReports } from '../../src/tlsrpt/index.js'
import { monthOfReports, reportMail } from './report-month.js'
import { cli } from './support.js'

vi.mock('node:module', async (original) => ({
  ...(await original<typeof import('node:module')>()),
  createRequire: () => ({
    resolve: (name: string) => {
      throw Object.assign(new Error(`Cannot find module '${name}'`), { code: 'MODULE_NOT_FOUND' })
    },
  }),
}))

const folder = mkdtempSync(join(tmpdir(), 'mta-sts-report-'))
const [first, second, third] = monthOfReports()
if (!first || !second || !third) throw new Error('There should be reports')

beforeAll(() => {
  writeFileSync(join(folder, 'a.json'), formatReport(first))
  writeFileSync(join(folder, 'b.eml'), reportMail(second))
  writeFileSync(join(folder, 'c.eml'), reportMail(third))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('without postal-mime', () => {
  it('the command reads files, and says which package mails need: status 3', async () => {
    const { status, stdout, stderr } = await cli(['report', folder])
    expect(status).toBe(3)
    expect(stdout).toContain('1 report from 1 sender')
    expect(stderr).toBe(
      `mta-sts: ${join(folder, 'b.eml')}, ${join(folder, 'c.eml')}: Reading reports from mails ` +
        'needs the package postal-mime: npm install postal-mime\n' +
        'Or with npx: npx -p mta-sts -p postal-mime mta-sts report FILE...\n',
    )
  })

  it('readReports throws an error of code EPEER for a mail', () => {
    expect(readReports(formatReport(first))).toHaveLength(1)
    expect(() => readReports(reportMail(second))).toThrow(
      expect.objectContaining({ name: 'MtaStsError', code: 'EPEER' }),
    )
  })
})
