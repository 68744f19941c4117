/** The screens on the pages are what is printed, but for the milliseconds and the date of today. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { sqliteStore } from '../../src/policy/stores/sqlite.js'
import { formatReport } from '../../src/tlsrpt/index.js'
import { writeMaildir } from '../cli/report-month.js'
import { type CliResult, cli, hasSqlite, longestLine, useWorld } from '../cli/support.js'
import { run } from '../package/packed.js'
import { codeBlocks } from './code-blocks.js'
import { pageAt } from './markdown.js'
import { readScreen, SCREENS, type Screen } from './screens.js'

const stage = useWorld()

/** The domains of docs/command.md, in the order in which they get their addresses. */
function setUpDomains(): void {
  const { world } = stage
  world.domain('good.example', { mode: 'enforce', mx: ['mx1', 'mx2'], id: '20260801T120000Z' })
  const rua = 'v=TLSRPTv1; rua=mailto:tlsrpt@good.example'
  world.dns.set('_smtp._tls.good.example', 'TXT', [rua])
  const bad = world.domain('bad.example', {
    mode: 'enforce',
    mx: ['mx1', 'mx2', 'backup'],
    patterns: ['mx1.bad.example', 'mx2.bad.example'],
    maxAge: 3600,
    id: '20260115T080000Z',
  })
  bad.mx('mx2').fails('expired')
  bad.mx('backup').fails('no-starttls')
  const broken = world.domain('broken.example', { mode: 'enforce', id: '20251001' })
  broken.policyHost.fails('wrong-name')
}

/** The files of docs/command.md and docs/reports.md: reports, and a store with two policies. */
async function setUpFiles(): Promise<void> {
  const failure = {
    resultType: 'certificate-expired',
    sendingMtaIp: '192.0.2.7',
    receivingMxHostname: 'mx.bob.example',
    receivingIp: '198.51.100.1',
    failedSessionCount: 3,
  }
  const reported = {
    policyType: 'sts',
    policyString: ['version: STSv1', 'mode: testing', 'mx: mx.bob.example', 'max_age: 86400'],
    policyDomain: 'bob.example',
    totalSuccessfulSessionCount: 1200,
    totalFailureSessionCount: 3,
    failureDetails: [failure],
  }
  const report = {
    organizationName: 'Sender Ltd',
    dateRange: {
      start: new Date('2026-08-01T00:00:00Z'),
      end: new Date('2026-08-01T23:59:59Z'),
    },
    reportId: '1',
    policies: [reported],
  }
  writeFileSync(join(stage.folder, 'report.json'), formatReport(report))
  writeMaildir(join(stage.folder, 'Maildir'))
  const path = join(stage.folder, 'mta-sts.db')
  if (!hasSqlite()) return writeFileSync(path, '')
  const held = (mode: string, since: string, maxAge: number) => {
    const fetchedAt = Date.parse(since)
    const body = `version: STSv1\nmode: ${mode}\nmx: mx.example.com\nmax_age: ${maxAge}\n`
    const expiresAt = fetchedAt + maxAge * 1000
    return { id: '1', body, fetchedAt, expiresAt, usedAt: fetchedAt }
  }
  const store = sqliteStore(path, { now: () => NOON })
  await store.set('bob.example', held('enforce', '2026-08-01T12:00:00Z', 604_800))
  await store.set('carol.example', held('testing', '2026-08-02T09:30:00Z', 86_400))
  await store.close?.()
}

/** When somebody looked at the store of docs/command.md. */
const NOON = Date.parse('2026-08-02T12:00:00Z')

/** The command with its files, run where the page says. */
async function print({ command, where }: Screen): Promise<CliResult> {
  const here = (text: string) =>
    text.replace(/(?:report\.json|mta-sts\.db|Maildir)$/, join(stage.folder, '$&'))
  const [, ...argv] = command.split(' ')
  switch (where) {
    case 'world':
      return stage.cli(argv)
    case 'npm': {
      const { stdout } = await run(command.split(' '))
      // npm says first what it runs
      return {
        status: 0,
        stdout: stripVTControlCharacters(stdout).replace(/^\n(?:>.*\n)+\n/, ''),
        stderr: '',
      }
    }
    default:
      return cli(argv.map(here), { now: () => NOON })
  }
}

/** Without milliseconds, and without the dates that a screen counts from today. */
function timeless(text: string, where: Screen['where']): string {
  const timed = text.replace(/\b\d+ ms/g, '9 ms')
  return where === 'world' ? timed.replace(/\b20\d\d-\d\d-\d\d\b/g, '2026-08-08') : timed
}

describe('the screens', () => {
  beforeAll(async () => {
    setUpDomains()
    await setUpFiles()
  })

  it.each(SCREENS.map((screen) => [screen.command, screen] as const))('%s', async (_, screen) => {
    const shown = codeBlocks(pageAt(screen.page))
      .filter(({ language }) => language === 'console')
      .map(({ code }) => readScreen(code))
      .filter(({ command }) => command === screen.command)
    expect(shown).toHaveLength(1)
    const { stdout, stderr } = await print(screen)
    if (screen.where === 'sqlite' && !hasSqlite()) {
      expect({ stdout, stderr }).toEqual({
        stdout: '',
        stderr: expect.stringContaining('Upgrade Node (>= 22.13)'),
      })
      return
    }
    expect(stderr).toBe('')
    expect(timeless(stdout, screen.where)).toBe(timeless(shown[0]?.output ?? '', screen.where))
    expect(longestLine(stdout)).toBeLessThanOrEqual(80)
  })
})
