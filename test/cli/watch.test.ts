/** `mta-sts watch`: what is printed, when it ends, the command that it runs. */
import { renameSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { MailDomain } from '../../src/testing/index.js'
import { cli, longestLine, useWorld } from './support.js'

const stage = useWorld()
const DAY = 86_400_000

/** Looks twice, and changes something in between. */
async function twice(change: (domain: MailDomain) => void, ...argv: string[]) {
  const domain = stage.domain({ mode: 'enforce' })
  const sleep = async () => change(domain)
  const result = await stage.cli(['watch', '--rounds', '2', '--connect', domain.name, ...argv], {
    sleep,
  })
  return { ...result, domain }
}

const lines = (stdout: string) =>
  stdout
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')

describe('changes that watch prints', () => {
  it('prints nothing without a change, and ends with status 0', async () => {
    const { status, stdout, stderr } = await twice(() => undefined)
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  it('prints a change of the policy and its record', async () => {
    const { status, stdout, domain } = await twice((one) => one.policy({ mode: 'testing' }))
    expect(status).toBe(1)
    const [verdict, record, policy, ...rest] = lines(stdout)
    expect(verdict).toMatch(
      new RegExp(
        `^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d ${domain.name} verdict: fine before, now unp`,
      ),
    )
    expect(record).toContain(`${domain.name} record: was "v=STSv1; id=`)
    expect(policy).toContain('mode: enforce')
    expect(policy).toContain('is "version: STSv1; mode: testing;')
    expect(rest).toEqual([])
  })

  it('prints that the record is gone', async () => {
    const { stdout } = await twice((one) => one.record(null))
    expect(stdout).toContain('is "none"')
  })

  it('prints a change of the MX records', async () => {
    const { stdout } = await twice((one) => one.dns.fails('spoofed-mx'))
    expect(stdout).toContain('mx.attacker.example')
  })

  it('prints a lookup that fails as a verdict only', async () => {
    const { stdout } = await twice((one) => one.dns.fails('servfail'))
    expect(lines(stdout)).toHaveLength(1)
    expect(stdout).toContain('verdict: fine before, now unknown')
  })

  it('prints a certificate that ends within 14 days, once', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const now = () => Date.now() + 20 * DAY
    const argv = ['watch', '--connect', '--rounds', '3', domain.name]
    const { stdout } = await stage.cli(argv, { now, sleep: async () => undefined })
    expect(lines(stdout)).toHaveLength(1)
    expect(stdout).toMatch(/ certificate: mta-sts\.\S+ ends on \d{4}-\d\d-\d\d, mx\./)
  })

  it('warns of a certificate once, though a look in between did not see it', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const now = () => Date.now() + 20 * DAY
    const acts = [() => domain.mx().fails('unreachable'), () => domain.mx().works()]
    const sleep = async () => acts.shift()?.()
    const argv = ['watch', '--connect', '--rounds', '3', domain.name]
    const { stdout } = await stage.cli(argv, { now, sleep })
    expect(lines(stdout).filter((line) => line.includes(' certificate: '))).toHaveLength(1)
    expect(lines(stdout)).toHaveLength(3)
  })

  it('goes on where a later look fails as a whole', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const away = `${stage.caFile}.away`
    const acts = [
      () => renameSync(stage.caFile, away),
      () => {
        renameSync(away, stage.caFile)
        domain.record(null)
      },
    ]
    const argv = ['watch', '--rounds', '3', domain.name]
    const result = await stage.cli(argv, { sleep: async () => acts.shift()?.() })
    expect(result.stderr).toMatch(/^mta-sts: the look failed: --ca: the file cannot be read/)
    expect(result.stdout).toContain('is "none"')
  })

  it.each([80, 120])('wraps a change on a terminal of %d columns', async (columns) => {
    const domain = stage.domain({ body: 'version: STSv1\nmode: live\nmax_age: 86400\n' })
    const argv = ['watch', '--rounds', '1', domain.name]
    const { stdout } = await stage.cli(argv, { isTTY: true, columns, env: { NO_COLOR: '1' } })
    expect(longestLine(stdout)).toBeLessThanOrEqual(columns)
    const whole = await stage.cli(argv)
    expect(stdout.replace(/\n {2}/g, ' ').slice(16)).toBe(whole.stdout.slice(16))
  })

  it('prints a domain that is not fine at the first look', async () => {
    const domain = stage.domain({ mode: 'testing' })
    const { status, stdout } = await stage.cli(['watch', '--rounds', '1', domain.name])
    expect(status).toBe(1)
    expect(stdout).toContain(`${domain.name} verdict: unprotected: testing:`)
  })

  it('prints a line of JSON for each change', async () => {
    const { stdout, domain } = await twice((one) => one.record(null), '--json')
    const changes = lines(stdout).map((line) => JSON.parse(line))
    expect(changes.map(({ format, domain: name, code }) => [format, name, code])).toEqual([
      [1, domain.name, 'verdict'],
      [1, domain.name, 'record'],
    ])
  })
})

describe('actions after a change', () => {
  it('ends with status 1 under --exit-on-change', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    let rounds = 0
    const sleep = async () => {
      rounds++
      if (rounds === 2) domain.record(null)
    }
    const { status } = await stage.cli(['watch', '--exit-on-change', domain.name], { sleep })
    expect({ status, rounds }).toEqual({ status: 1, rounds: 2 })
  })

  it('goes on under --exit-on-change while DNS fails, and where it answers again', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const acts = [
      () => domain.dns.fails('servfail'),
      () => domain.dns.works(),
      () => domain.dns.fails('timeout'),
      () => domain.record(null),
      () => domain.dns.works(),
    ]
    let rounds = 0
    const sleep = async () => acts[rounds++]?.()
    const argv = ['watch', '--exit-on-change', '--rounds', '9', domain.name]
    const { status, stdout } = await stage.cli(argv, { sleep })
    expect({ status, rounds }).toEqual({ status: 1, rounds: 5 })
    expect(stdout.match(/is "none"/g)).toHaveLength(1)
  })

  it('runs the command of --run with the change in its environment', async () => {
    const { stdout, domain } = await twice(
      (one) => one.record(null),
      ...['--run', 'echo "<$MTA_STS_DOMAIN $MTA_STS_CHANGE>"'],
    )
    expect(stdout).toContain(`<${domain.name} record>`)
  })

  it('reports that the command of --run failed', async () => {
    const { stderr } = await twice((one) => one.record(null), '--run', 'exit 7')
    expect(stderr).toContain('mta-sts: --run: the command failed (status 7)')
  })

  it('prints the output of the command beside --json on standard error', async () => {
    const { stdout, stderr } = await twice(
      (one) => one.record(null),
      '--json',
      '--run',
      'echo hello',
    )
    for (const line of lines(stdout)) expect(JSON.parse(line)).toMatchObject({ format: 1 })
    expect(stderr).toBe('hello\nhello\n')
  })

  it('ends at Ctrl-C while the command of --run runs, and ends the command', async () => {
    const domain = stage.domain({ mode: 'testing' })
    const interrupted = new AbortController()
    const { stdout, stderr } = await stage.cli(
      ['watch', '--run', 'echo runs; exec sleep 60', domain.name],
      {
        signal: interrupted.signal,
        onOutput: (text) => {
          if (text.startsWith('runs')) interrupted.abort(new Error('interrupted'))
        },
      },
    )
    expect(stdout).toContain('runs\n')
    expect(stderr).toBe('')
  })

  it('ends at Ctrl-C while it waits', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const interrupted = new AbortController()
    const { status } = await stage.cli(['watch', domain.name], {
      signal: interrupted.signal,
      sleep: async () => interrupted.abort(new Error('interrupted')),
    })
    expect(status).toBe(0)
  })
})

it.each([
  [['watch'], 'Which domain? Name one or more.'],
  [['watch', '--interval', '0', 'a.example'], '--interval takes a whole number'],
  [['watch', 'no name'], 'is not a domain name'],
])('%j: status 2', async (argv, message) => {
  const { status, stderr } = await cli(argv)
  expect(status).toBe(2)
  expect(stderr).toContain(message)
  expect(longestLine((await cli(['watch', '--help'])).stdout)).toBeLessThanOrEqual(80)
})
