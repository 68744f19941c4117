/** `mta-sts report`: files, directories, gzip and mails, as a table and as JSON. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { formatReport, type TlsReport } from '../../src/tlsrpt/index.js'
import { cli, longestLine } from './support.js'

const folder = mkdtempSync(join(tmpdir(), 'mta-sts-report-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function report(
  organizationName: string,
  failed: number,
  more: Partial<TlsReport> = {},
): TlsReport {
  return {
    organizationName,
    dateRange: {
      start: new Date('2026-08-01T00:00:00Z'),
      end: new Date('2026-08-01T23:59:59Z'),
    },
    contactInfo: 'tls@sender.example',
    reportId: `id-${organizationName}`,
    policies: [
      {
        policyType: 'sts',
        policyString: ['version: STSv1', 'mode: enforce', 'mx: mx.bob.example', 'max_age: 86400'],
        policyDomain: 'bob.example',
        mxHost: ['mx.bob.example'],
        totalSuccessfulSessionCount: 1200,
        totalFailureSessionCount: failed,
        failureDetails:
          failed === 0
            ? []
            : [
                {
                  resultType: 'certificate-expired',
                  sendingMtaIp: '192.0.2.7',
                  receivingMxHostname: 'mx.bob.example',
                  receivingIp: '198.51.100.1',
                  failedSessionCount: failed,
                },
              ],
      },
    ],
    ...more,
  }
}

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

function mail(content: TlsReport): string {
  const data = gzipSync(formatReport(content)).toString('base64')
  return [
    'From: tls@sender.example',
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=tlsrpt; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain',
    '',
    'A report',
    '--b',
    'Content-Type: application/tlsrpt+gzip',
    'Content-Transfer-Encoding: base64',
    '',
    data,
    '--b--',
    '',
  ].join('\r\n')
}

describe('mta-sts report', () => {
  it('shows a table of what others saw', async () => {
    const path = file('one.json', formatReport(report('Sender Inc.', 3)))
    const { status, stdout, stderr } = await cli(['report', path])
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
    expect(stdout).toBe(`bob.example

Day         From                              Policy        Sessions     Failed
2026-08-01  Sender Inc.                       sts enforce       1203          3
            3 certificate-expired, mx.bob.example [198.51.100.1], from 192.0.2.7

1 report: 1203 sessions, 3 failed
`)
  })

  it('reads JSON, gzip, mails and directories, and each report once', async () => {
    mkdirSync(join(folder, 'maildir/cur'), { recursive: true })
    file('maildir/cur/a.json', formatReport(report('A', 0)))
    file('maildir/cur/a-again.json.gz', gzipSync(formatReport(report('A', 0))))
    file('maildir/b.json.gz', gzipSync(formatReport(report('B', 0))))
    file('maildir/cur/c.eml', mail(report('C', 0)))
    file('maildir/notes.txt', 'No report at all')
    const { status, stdout, stderr } = await cli(['report', '--json', join(folder, 'maildir')])
    expect(status).toBe(0)
    const { reports, unread, totals } = JSON.parse(stdout)
    const names = reports.map((one: TlsReport) => one.organizationName)
    expect(names.sort()).toEqual(['A', 'B', 'C'])
    expect(totals).toEqual({ reports: 3, sessions: 3600, failed: 0 })
    expect(unread).toMatchObject([{ file: join(folder, 'maildir/notes.txt'), named: false }])
    expect(stderr).toBe(`mta-sts: passed over: ${join(folder, 'maildir/notes.txt')}\n`)
  })

  it('has this JSON', async () => {
    const path = file('json.json', formatReport(report('J', 2)))
    const { stdout } = await cli(['report', '--json', path])
    const { organizationName, reportId, contactInfo, policies } = report('J', 2)
    expect(JSON.parse(stdout)).toEqual({
      format: 1,
      reports: [
        {
          file: path,
          organizationName,
          dateRange: { start: '2026-08-01T00:00:00.000Z', end: '2026-08-01T23:59:59.000Z' },
          contactInfo,
          reportId,
          policies,
        },
      ],
      unread: [],
      totals: { reports: 1, sessions: 1202, failed: 2 },
    })
  })

  it.each([
    ['is not there', () => join(folder, 'nowhere.json'), 'ENOENT'],
    ['is no report', () => file('rubbish.txt', 'rubbish'), 'This is no TLS report'],
  ])('tells of a file that %s: status 3, and the rest all the same', async (_, path, error) => {
    const good = file('good.json', formatReport(report('G', 0)))
    const { status, stdout, stderr } = await cli(['report', path(), good])
    expect(status).toBe(3)
    expect(stderr).toContain(error)
    expect(stdout).toContain('1 report: 1200 sessions, 0 failed')
  })

  it('escapes what senders write, and keeps within 80 columns', async () => {
    const evil = `\u{1b}[2J\u{202e}${'x'.repeat(300)}`
    const [policy] = report('x', 5).policies
    if (policy === undefined) throw new Error('There is one')
    const [details] = policy.failureDetails
    if (details === undefined) throw new Error('There is one')
    const odd = {
      ...policy,
      policyDomain: evil,
      policyType: evil,
      failureDetails: [{ ...details, failureReasonCode: evil, receivingMxHostname: evil }],
    }
    const path = file('evil.json', formatReport(report(evil, 0, { policies: [odd] })))
    for (const argv of [
      ['report', path],
      ['report', '--json', path],
    ]) {
      const { stdout } = await cli(argv)
      expect(stdout).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u)
      if (!argv.includes('--json')) expect(longestLine(stdout)).toBeLessThanOrEqual(80)
    }
  })
})
