/** `mta-sts report`: which files it reads, what it prints, and its exit status. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { formatReport, type TlsReport } from '../../src/tlsrpt/index.js'
import { reportMail } from './report-month.js'
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

function about(domain: string, organizationName: string, failed = 0): TlsReport {
  const { policies, ...rest } = report(organizationName, failed)
  return { ...rest, policies: policies.map((policy) => ({ ...policy, policyDomain: domain })) }
}

function dayOf(day: string, organizationName: string): TlsReport {
  const dateRange = { start: new Date(`${day}T00:00:00Z`), end: new Date(`${day}T23:59:59Z`) }
  return report(organizationName, 0, { dateRange, reportId: day })
}

let folders = 0

/** A new folder with these files. */
function files(contents: Record<string, string | Buffer>): string {
  const path = join(folder, String(++folders))
  mkdirSync(path)
  for (const [name, content] of Object.entries(contents)) {
    mkdirSync(join(path, name, '..'), { recursive: true })
    writeFileSync(join(path, name), content)
  }
  return path
}

async function json(...argv: string[]) {
  const { stdout, ...rest } = await cli(['report', '--json', ...argv])
  return { ...rest, ...JSON.parse(stdout) }
}

/** The names of the senders whose reports were read. */
async function senders(...argv: string[]): Promise<string[]> {
  const { reports } = await json(...argv)
  return reports.map((one: TlsReport) => one.organizationName).sort()
}

describe('the screen', () => {
  it('answers for a domain, with what failed and what to do', async () => {
    const path = files({ 'one.json': formatReport(report('Sender Inc.', 3)) })
    const { status, stdout, stderr } = await cli(['report', path])
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
    expect(stdout).toBe(`bob.example
✗ enforce has deferred 3 of 1,203 sessions (0.2 %), all at mx.bob.example:
  certificate-expired, last on 2026-08-01

  Policy            Sessions    Failed        %      Days  Senders  Last failure
  sts enforce          1,203         3      0.2         1        1  2026-08-01

✗ 3 × certificate-expired at mx.bob.example, 1 sender, 2026-08-01
    Renew the certificate of the host, and have the server load it.

1 report from 1 sender
`)
  })

  it('lists the verdicts first where there are several domains', async () => {
    const path = files({
      'a.json': formatReport(about('a.example', 'A', 1)),
      'b.json': formatReport(about('b.example', 'B')),
    })
    const { stdout } = await cli(['report', path])
    expect(stdout.split('\n').slice(0, 4)).toEqual([
      '✗ a.example  enforce has deferred 1 of 1,201 sessions (< 0.1 %), all at',
      '             mx.bob.example: certificate-expired, last on 2026-08-01',
      '? b.example  not yet: only 1 day of data (30 wanted)',
      '',
    ])
  })

  it('shows rows with --details', async () => {
    const path = files({ 'one.json': formatReport(report('Sender Inc.', 3)) })
    const { stdout } = await cli(['report', '--details', path])
    expect(stdout).toBe(`bob.example

Day         From                              Policy        Sessions     Failed
2026-08-01  Sender Inc.                       sts enforce      1,203          3
            3 certificate-expired, mx.bob.example [198.51.100.1], from 192.0.2.7

1 report from 1 sender
`)
  })

  it('fits on a screen, whatever failed', async () => {
    const [policy] = report('x', 5).policies
    const failureDetails = Array.from({ length: 5000 }, (_, index) => ({
      resultType: 'validation-failure',
      receivingMxHostname: `mx${index}.bob.example`,
      failureReasonCode: 'x'.repeat(300),
      failedSessionCount: 1,
    }))
    const policies = policy ? [{ ...policy, failureDetails, totalFailureSessionCount: 5000 }] : []
    const path = files({ 'many.json': formatReport(report('Many', 0, { policies })) })
    const { stdout } = await cli(['report', path])
    expect(stdout.split('\n').length).toBeLessThan(25)
    expect(stdout).toContain('and 996 more kinds, 996 sessions: --details')
    const details = await cli(['report', '--details', path])
    expect(details.stdout.split('\n').length).toBeLessThan(120)
    expect(details.stdout).toContain('and 4,980 more kinds of failure')
  })

  it('caps the rows of --details with a count of the rest', async () => {
    const lines = Array.from({ length: 1200 }, (_, index) => formatReport(report(`S${index}`, 0)))
    const path = files({ 'many.json': lines.join('\n') })
    const { stdout } = await cli(['report', '--details', path])
    expect(stdout).toContain('and 200 more rows: --csv has all of them')
  })

  it.each([
    [60, 80],
    [100, 100],
    [200, 120],
  ])('of a terminal of %i columns is %i wide', async (columns, width) => {
    const path = files({
      'one.json': formatReport(about(`${'long-name.'.repeat(20)}example`, 'A', 3)),
    })
    let text = ''
    const write = (part: string) => {
      text += part
    }
    await cli(['report', path], { stdout: { write, isTTY: true, columns } })
    // Colours take no room
    const longest = longestLine(stripVTControlCharacters(text))
    expect(longest).toBeLessThanOrEqual(width)
    expect(longest).toBeGreaterThan(width - 12)
  })

  it('is coloured on a terminal, but not where NO_COLOR is set', async () => {
    const path = files({ 'one.json': formatReport(report('A', 3)) })
    const texts = ['', '']
    for (const [index, env] of [{}, { NO_COLOR: '1' }].entries()) {
      const write = (part: string) => {
        texts[index] += part
      }
      await cli(['report', path], { env, stdout: { write, isTTY: true } })
    }
    expect(texts[0]).toContain('\u{1b}[31m✗')
    expect(texts[1]).not.toContain('\u{1b}')
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
      failureDetails: [
        { ...details, resultType: evil, failureReasonCode: evil, receivingMxHostname: evil },
      ],
    }
    const path = files({ 'evil.json': formatReport(report(evil, 0, { policies: [odd, odd] })) })
    for (const option of ['--failures', '--json', '--csv', '--details', '--html=-']) {
      const { stdout } = await cli(['report', path, option])
      expect(stdout).toContain('xxx')
      expect(stdout).not.toMatch(/[^\P{Cc}\r\n]|\p{Cf}/u)
      if (['--failures', '--details'].includes(option)) {
        expect(longestLine(stdout)).toBeLessThanOrEqual(80)
      }
    }
  })

  it('shows progress on a terminal while many files are read', async () => {
    const path = files({ 'a.json': formatReport(report('A', 0)), 'b.json': '{}' })
    let text = ''
    const stderr = {
      isTTY: true,
      write: (part: string) => {
        text += part
      },
    }
    await cli(['report', path], { stderr })
    expect(text).toContain('Reading reports: 0 of 2')
  })
})

describe('files', () => {
  it('reads JSON, gzip, mails and directories', async () => {
    const path = files({
      'cur/a.json': formatReport(report('A', 0)),
      'b.json.gz': gzipSync(formatReport(report('B', 0))),
      'cur/c:2,S': reportMail(report('C', 0)),
      'cur/d.gz': gzipSync(reportMail(report('D', 0))),
      'notes.txt': 'No report at all',
    })
    const { status, reports, unread, totals, stderr } = await json(path)
    expect(status).toBe(0)
    expect(reports.map((one: TlsReport) => one.organizationName)).toEqual(['B', 'A', 'C', 'D'])
    expect(totals).toEqual({ reports: 4, sessions: 4800, failed: 0 })
    expect(unread).toMatchObject([{ file: join(path, 'notes.txt'), named: false, skipped: true }])
    expect(stderr).toBe(`mta-sts: skipped: ${join(path, 'notes.txt')}\n`)
  })

  it('reads an mbox, also one that is larger than a report may be', async () => {
    const filler = `From x\r\nSubject: a picture\r\n\r\n${'x'.repeat(7 * 1024 * 1024)}\r\n\r\n`
    const mails = ['A', 'B', 'C'].map((name) => `From x\r\n${reportMail(report(name, 0))}\r\n`)
    const small = files({ mbox: mails.join('') })
    expect(await senders(join(small, 'mbox'))).toEqual(['A', 'B', 'C'])
    const large = files({ mbox: mails.join(filler) + filler })
    const { status, reports, unread } = await json(join(large, 'mbox'))
    expect(reports).toHaveLength(3)
    expect(unread).toMatchObject([
      { file: `${join(large, 'mbox')} (mail 2)`, skipped: true },
      { file: `${join(large, 'mbox')} (mail 4)`, skipped: true },
      { file: `${join(large, 'mbox')} (mail 6)`, skipped: true },
    ])
    expect(status).toBe(0)
  })

  it.each<[string, () => Array<string | Uint8Array>]>([
    ['JSON', () => [formatReport(report('A', 0))]],
    [
      'JSON in pieces',
      () => [...Buffer.from(formatReport(report('A', 0)))].map((b) => Buffer.of(b)),
    ],
    ['gzip', () => [gzipSync(formatReport(report('A', 0)))]],
    ['a mail', () => [reportMail(report('A', 0))]],
    ['an mbox', () => [`From x\n${reportMail(report('A', 0))}\nFro`, 'm y\nSubject: x\n\nx\n']],
  ])('reads %s from standard input', async (_, chunks) => {
    async function* stdin() {
      yield* chunks()
    }
    const { stdout } = await cli(['report', '--json', '-'], { stdin: stdin() })
    expect(JSON.parse(stdout).totals.reports).toBe(1)
  })

  it('counts a report that comes twice once, and says so', async () => {
    const path = files({
      'a.json': formatReport(report('A', 0)),
      'a.eml': reportMail(report('A', 0)),
    })
    const { stdout } = await cli(['report', path])
    expect(stdout).toContain('1 report from 1 sender; 1 more report came twice')
  })

  it('counts reports of one sender with one id that differ in domain or day', async () => {
    const same = { reportId: 'same' }
    const path = files({
      'a.json': formatReport({ ...report('A', 0), ...same }),
      'b.json': formatReport({ ...about('carol.example', 'A'), ...same }),
      'c.json': formatReport({ ...dayOf('2026-08-02', 'A'), ...same }),
    })
    expect((await json(path)).totals.reports).toBe(3)
  })

  it('follows symbolic links, and reads a directory that is linked from itself once', async () => {
    const elsewhere = files({ 'a.json': formatReport(report('A', 0)) })
    const path = files({ 'b.json': formatReport(report('B', 0)) })
    symlinkSync(elsewhere, join(path, 'linked'))
    symlinkSync(path, join(path, 'itself'))
    symlinkSync(join(elsewhere, 'a.json'), join(path, 'again.json'))
    const { stdout } = await cli(['report', path])
    expect(stdout).toContain('2 reports from 2 senders\n')
  })

  it('goes on behind what may not be entered, and names it: status 3', async () => {
    const path = files({ 'a/a.json': '{}', 'c/c.json': formatReport(report('C', 0)) })
    symlinkSync(join(path, 'nowhere'), join(path, 'b'))
    const closed = join(path, 'a')
    chmodSync(closed, 0)
    const { status, reports, unread, stderr } = await json(path)
    chmodSync(closed, 0o700)
    expect(reports).toHaveLength(1)
    expect(status).toBe(3)
    expect(unread).toContainEqual(
      expect.objectContaining({ file: join(path, 'b'), skipped: false }),
    )
    expect(stderr).toContain(`${join(path, 'b')}: ENOENT`)
    // Nothing is closed to root
    if (process.getuid?.() !== 0) expect(stderr).toContain(`${closed}: EACCES`)
  })

  it('[RPT-17] names what looks like a report but cannot be read, with the reason: status 3', async () => {
    const path = files({
      'good.json': formatReport(report('G', 0)),
      'half.json': formatReport(report('H', 0)).slice(0, 200),
      'half.json.gz': gzipSync(formatReport(report('H', 0))).subarray(0, 80),
      'half.eml': reportMail(report('H', 0)).replace(/(?<=H4sI).{40}/, 'A'.repeat(40)),
      'package.json': '{"name": "x"}',
    })
    const { status, totals, stderr } = await json(path)
    expect(status).toBe(3)
    expect(totals.reports).toBe(1)
    expect(stderr).toContain('mta-sts: 3 look like reports but cannot be read:\n')
    expect(stderr).toContain(`half.json: This is not a TLS report: its JSON is damaged`)
    expect(stderr).toContain(`half.json.gz: This is not a TLS report: its gzip is damaged`)
    expect(stderr).toContain(`skipped: ${join(path, 'package.json')}\n`)
  })

  it.each([
    ['is not there', () => join(folder, 'nowhere.json'), 'ENOENT'],
    ['is no report', () => join(files({ x: 'rubbish' }), 'x'), 'This is not a TLS report'],
  ])('names a file that %s: status 3, and reads the rest', async (_, path, error) => {
    const good = files({ 'good.json': formatReport(report('G', 0)) })
    const { status, stdout, stderr } = await cli(['report', path(), good])
    expect(status).toBe(3)
    expect(stderr).toContain(error)
    expect(stdout).toContain('1 report from 1 sender')
  })

  it('notes reports that are incomplete', async () => {
    const text = formatReport(report('A', 3)).replace(/"summary":\{[^}]*\}/, '"summary":null')
    const path = files({ 'a.json': text })
    const { stdout, status } = await cli(['report', path])
    expect(status).toBe(1)
    expect(stdout.replaceAll(/\n {2}/g, ' ')).toContain(
      'first: its summary is incomplete; its details have 3 failed sessions',
    )
  })
})

describe('the selection', () => {
  const path = () =>
    files({
      'a.json': formatReport(about('a.example', 'Alpha', 2)),
      'b.json': formatReport(about('b.example', 'Beta')),
      'c.json': formatReport(dayOf('2026-08-05', 'Gamma')),
      'd.json': formatReport(dayOf('2026-08-09', 'Delta')),
    })

  it.each<[string[], string[]]>([
    [['--domain', 'A.example.'], ['Alpha']],
    [
      ['--domain', 'a.example', '--domain', 'b.example'],
      ['Alpha', 'Beta'],
    ],
    [
      ['--since', '2026-08-05'],
      ['Delta', 'Gamma'],
    ],
    [
      ['--until', '2026-08-05'],
      ['Alpha', 'Beta', 'Gamma'],
    ],
    [['--since', '2026-08-02', '--until', '2026-08-08'], ['Gamma']],
    [['--from', 'ALPH'], ['Alpha']],
    [['--failures'], ['Alpha']],
  ])('%j takes the reports of %j', async (options, expected) => {
    expect(await senders(path(), ...options)).toEqual(expected)
  })

  it('says how many reports it leaves out', async () => {
    const { stdout } = await cli(['report', path(), '--domain', 'a.example'])
    expect(stdout).toContain('1 report from 1 sender; 3 reports left out by the options')
  })

  it.each([
    [['--since', '2026-02-30'], '--since takes a day as 2026-08-31, not "2026-02-30".'],
    [['--until', 'today'], '--until takes a day'],
    [['--since', '2026-08-05', '--until', '2026-08-01'], '--since is later than --until'],
    [['--domain', 'not a domain'], 'is not a domain name'],
    [['--json', '--csv'], 'exclude each other'],
    [['--html'], "'--html <value>' argument missing"],
    [['--nonsense'], "Unknown option '--nonsense'"],
  ])('%j is wrong usage: status 2', async (options, message) => {
    const { status, stderr } = await cli(['report', 'x.json', ...options])
    expect(status).toBe(2)
    expect(stderr).toContain(message)
  })
})

describe('the exit status', () => {
  it.each([
    ['certificate-expired', 1],
    ['starttls-not-supported', 1],
    ['validation-failure', 1],
    ['something-new', 1],
    ['sts-policy-fetch-error', 0],
    ['sts-webpki-invalid', 0],
    ['tlsa-invalid', 0],
  ])('of %s is %i', async (resultType, expected) => {
    const text = formatReport(report('A', 3)).replace('certificate-expired', resultType)
    const { status } = await cli(['report', files({ 'a.json': text })])
    expect(status).toBe(expected)
  })

  it('is 1 where something failed and something could not be read', async () => {
    const path = files({
      'a.json': formatReport(report('A', 3)),
      'b.json.gz': gzipSync('x').subarray(0, 12),
    })
    expect((await cli(['report', path])).status).toBe(1)
  })
})

describe('other outputs', () => {
  it('has this JSON', async () => {
    const path = join(files({ 'a.json': formatReport(report('J', 2)) }), 'a.json')
    const { stdout } = await cli(['report', '--json', path])
    const { organizationName, reportId, contactInfo, policies } = report('J', 2)
    const seen = { sessions: 1202, failed: 2, days: 1, lastDay: '2026-08-01' }
    expect(JSON.parse(stdout)).toEqual({
      format: 1,
      domains: [
        {
          domain: 'bob.example',
          verdict: {
            answer: 'would-defer',
            text: expect.stringMatching(/^enforce has deferred 2 of 1,202 sessions/),
          },
          policies: [
            {
              policyType: 'sts',
              sessions: 1202,
              failed: 2,
              refused: 2,
              percent: expect.closeTo(0.166, 3),
              modes: [
                { mode: 'enforce', sessions: 1202, firstDay: '2026-08-01', lastDay: '2026-08-01' },
              ],
              days: { first: '2026-08-01', last: '2026-08-01', covered: 1, missing: 0, gaps: [] },
              senders: [{ name: 'J', ...seen }],
              missingSenders: [],
              lastFailure: '2026-08-01',
              failures: [
                {
                  resultType: 'certificate-expired',
                  mxHost: 'mx.bob.example',
                  weight: 'refused',
                  sessions: 2,
                  senders: 1,
                  firstDay: '2026-08-01',
                  lastDay: '2026-08-01',
                  advice: 'Renew the certificate of the host, and have the server load it.',
                },
              ],
              series: [{ day: '2026-08-01', sessions: 1202, failed: 2 }],
            },
          ],
        },
      ],
      reports: [
        {
          file: path,
          organizationName,
          dateRange: { start: '2026-08-01T00:00:00.000Z', end: '2026-08-01T23:59:59.000Z' },
          contactInfo,
          reportId,
          policies,
          notes: [],
        },
      ],
      unread: [],
      totals: { reports: 1, sessions: 1202, failed: 2 },
    })
  })

  it('has this CSV, in which nothing is a formula', async () => {
    const organization = '=HYPERLINK("https://evil.example")'
    const path = files({ 'a.json': formatReport(report(organization, 2)) })
    const { stdout } = await cli(['report', '--csv', path])
    const start = '2026-08-01,2026-08-01,"\'=HYPERLINK(""https://evil.example"")"'
    const id = '"id-=HYPERLINK(""https://evil.example"")"'
    expect(stdout.split('\r\n')).toEqual([
      'row,first_day,last_day,organization,report_id,domain,policy_type,mode,' +
        'successful_sessions,failed_sessions,result_type,mx_host,receiving_ip,sending_ip,reason',
      `policy,${start},${id},bob.example,sts,enforce,1200,2,,,,,`,
      `failure,${start},${id},bob.example,sts,enforce,,2,certificate-expired,mx.bob.example,` +
        '198.51.100.1,192.0.2.7,',
      '',
    ])
  })

  it.each([
    [' =1+1', "' =1+1"],
    ['\uff1d1+1', "'\uff1d1+1"],
    ['Sender;@SUM(1)', "Sender;'@SUM(1)"],
    ['A-B', 'A-B'],
  ])('[STS-58] writes the name %j so that no spreadsheet runs it', async (name, written) => {
    const path = files({ 'a.json': formatReport(report(name, 0)) })
    const { stdout } = await cli(['report', '--csv', path])
    expect(stdout.split('\r\n')[1]?.split(',')[3]).toBe(written)
  })
})
