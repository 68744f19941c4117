/** A month of reports, read by Python's library, by `readReports` and by the command: one result. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { assess, type DomainAssessment, readReports } from '../../src/tlsrpt/index.js'
import { writeMaildir } from './report-month.js'
import { cli } from './support.js'

const READER = fileURLToPath(new URL('./independent_reader.py', import.meta.url))

interface Total {
  sessions: number
  failed: number
  days: number
  senders: number
  failures: Record<string, number>
}

function totalsOf(domains: readonly DomainAssessment[]): Record<string, Total> {
  const totals: Record<string, Total> = {}
  for (const { domain, policies } of domains) {
    for (const { policyType, sessions, failed, days, senders, failures } of policies) {
      totals[`${domain} ${policyType}`] = {
        sessions,
        failed,
        days: days.covered,
        senders: senders.length,
        failures: Object.fromEntries(
          failures.map((one) => [`${one.resultType} ${one.mxHost ?? '-'}`, one.sessions]),
        ),
      }
    }
  }
  return totals
}

describe('a month of reports', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mta-sts-month-'))
  let expected: { reports: number; totals: Record<string, Total> } | undefined
  let written = 0

  beforeAll(async () => {
    written = writeMaildir(folder).length
    const { stdout } = await promisify(execFile)('python3', [READER, folder])
    expected = JSON.parse(stdout)
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('[RPT-3] is the same to an independent reader', () => {
    expect(written).toBeGreaterThan(2500)
    expect(expected?.reports).toBe(written)
    expect(Object.keys(expected?.totals ?? {})).toHaveLength(6)
  })

  it('[RPT-3] is the same to readReports and assess', () => {
    const names = ['cur', 'new'].flatMap((name) =>
      readdirSync(join(folder, name)).map((file) => join(folder, name, file)),
    )
    const reports = names.flatMap((name) => readReports(readFileSync(name)))
    expect(reports).toHaveLength(written)
    expect(totalsOf(assess(reports))).toEqual(expected?.totals)
  })

  it('[RPT-3] is the same to the command', async () => {
    const { stdout } = await cli(['report', '--json', folder])
    const { domains, totals, unread } = JSON.parse(stdout)
    expect(totalsOf(domains)).toEqual(expected?.totals)
    expect([totals.reports, unread]).toEqual([written, []])
  })
})
