/** `mta-sts check` of many domains: lists, a line each, NDJSON, deadlines, Ctrl-C, sockets. */
import { writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { CheckReport } from '../../src/cli/check/findings.js'
import { InOrder } from '../../src/cli/check/in-order.js'
import { checkMany } from '../../src/cli/check/many.js'
import { openRun } from '../../src/cli/check/open-run.js'
import { MAX_SOCKETS } from '../../src/cli/check/sessions.js'
import { Gate } from '../../src/net/gate.js'
import { useWorld } from './support.js'

const stage = useWorld()

async function* input(...chunks: string[]) {
  for (const chunk of chunks) yield Buffer.from(chunk)
}

/** A domain of which no question is answered. */
function deadDomain(): string {
  const domain = stage.domain({ mode: 'enforce' })
  for (const where of ['record', 'mx', 'policy-host', 'mx-hosts'] as const) {
    domain.dns.fails('timeout', where)
  }
  return domain.name
}

const goodDomain = () => stage.domain({ mode: 'enforce' }).name

describe('lists of domains', () => {
  it('are read from a file: comments, blank lines, a byte order mark, each domain once', async () => {
    const [one, two] = [goodDomain(), goodDomain()]
    const file = join(stage.folder, 'list.txt')
    writeFileSync(
      file,
      `\u{feff}# mine\r\n${one}\r\n\r\n  ${two} # two\r\n${one.toUpperCase()}.\r\n`,
    )
    const { status, stdout } = await stage.cli(['check', '--brief', '--file', file])
    expect(status).toBe(0)
    expect(stdout).toBe(
      `· ${one} fine: enforce: not tried: mx.${one} (--connect tries)\n` +
        `· ${two} fine: enforce: not tried: mx.${two} (--connect tries)\n` +
        '2 domains: 2 fine\n',
    )
  })

  it.each([[['-']], [['--file', '-']]])('are read from standard input: %j', async (argv) => {
    const [one, two] = [goodDomain(), goodDomain()]
    const stdin = input(`${one}\n${two.slice(0, 3)}`, `${two.slice(3)}\n`)
    const { stdout } = await stage.cli(['check', '--brief', ...argv], { stdin })
    expect(stdout).toContain(one)
    expect(stdout).toContain(two)
  })

  it('report a line that is no domain name as a result, and go on', async () => {
    const good = goodDomain()
    const stdin = input(`not a name\n${good}\nhttps://${good}/\n`)
    const { status, stdout } = await stage.cli(['check', '--brief', '-'], { stdin })
    expect(status).toBe(3)
    expect(stdout).toContain('? not a name unknown: "not a name" is not a domain name')
    expect(stdout).toContain(`is not a domain name. Did you mean "${good}"?`)
    expect(stdout).toContain(`· ${good} fine: `)
    expect(stdout).toContain('3 domains: 1 fine, 2 unknown')
  })

  it('end with a summary, except after a single domain', async () => {
    const [one, two] = [goodDomain(), stage.domain({ mode: 'testing' }).name]
    const { stdout } = await stage.cli(['check', one, two])
    expect(stdout.endsWith('\n\n2 domains: 1 fine, 1 unprotected\n')).toBe(true)
    expect((await stage.cli(['check', one])).stdout).not.toContain('1 domain')
  })
})

describe('the set-up', () => {
  it('ends at Ctrl-C while standard input is read, with status 3', async () => {
    const interrupted = new AbortController()
    async function* endless() {
      yield Buffer.from('a.example\n')
      interrupted.abort(new Error('interrupted'))
      await new Promise<never>(() => undefined)
    }
    const { status, stdout, stderr } = await stage.cli(['check', '-'], {
      stdin: endless(),
      signal: interrupted.signal,
    })
    expect([status, stdout, stderr]).toEqual([3, '', 'mta-sts: interrupted\n'])
  })

  it('refuses a file without an end as a list', async () => {
    const { status, stderr } = await stage.cli(['check', '--file', '/dev/zero'])
    expect(status).toBe(2)
    expect(stderr).toContain('The file of --file is too long for a list of domains.')
  })
})

describe('results as they come', () => {
  it('go on after a domain whose examination throws', async () => {
    const [one, two] = [goodDomain(), goodDomain()]
    const { resolver, connect, now } = stage.world.options()
    const lines: CheckReport[] = []
    const output = { write: () => undefined }
    const context = { ...{ stdout: output, stderr: output, env: {} }, resolver, connect, now }
    const run = await openRun({ ca: stage.caFile }, context, undefined)
    let looks = 0
    const faulty = () => {
      if (looks++ === 0) throw new Error('a bug')
      return now()
    }
    const list = [one, two].map((domain) => ({ written: domain, domain }))
    const status = await checkMany(list, {
      run: { ...run, settings: { ...run.settings, now: faulty } },
      ...{ context, concurrency: 1, deadline: 60_000 },
      printer: { add: (report) => void lines.push(report) },
    })
    expect(status).toBe(3)
    expect(lines.map(({ domain, verdict }) => [domain, verdict.status])).toEqual([
      [one, 'unknown'],
      [two, 'fine'],
    ])
    expect(lines[0]?.verdict.text).toBe('it could not be looked at: a bug')
  })

  it('prints other results while a dead domain is waited for', async () => {
    const dead = deadDomain()
    const good = Array.from({ length: 5 }, goodDomain)
    const { stdout } = await stage.cli(['check', '--brief', dead, ...good])
    const names = stdout.split('\n').map((line) => line.split(' ')[1])
    expect(names.slice(0, 6)).toEqual([...good, dead])
  })

  it('prints a line of JSON for each domain', async () => {
    const names = [goodDomain(), stage.domain({ mode: 'none' }).name]
    const { status, stdout } = await stage.cli(['check', '--ndjson', ...names])
    expect(status).toBe(1)
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ format, domain, verdict }) => [format, domain, verdict.status])).toEqual([
      [1, names[0], 'fine'],
      [1, names[1], 'unprotected'],
    ])
  })

  it('begins one JSON document at once, and keeps the order of the list in it', async () => {
    const names = [deadDomain(), goodDomain()]
    const pieces: string[] = []
    const { stdout } = await stage.cli(['check', '--json', ...names], {
      onOutput: (text) => pieces.push(text),
    })
    expect(pieces[0]).toBe('{\n  "format": 1,\n  "domains": [')
    const { domains } = JSON.parse(stdout)
    expect(domains.map(({ domain }: { domain: string }) => domain)).toEqual(names)
  })

  it('keeps the order of the list for results that come close together', () => {
    const emitted: number[] = []
    const order = new InOrder<number>(Number.POSITIVE_INFINITY, (item) => emitted.push(item))
    for (const number of [2, 0, 1, 4]) order.add(number, number)
    expect(emitted).toEqual([0, 1, 2])
    order.flush()
    order.add(3, 3)
    order.add(5, 5)
    expect(emitted).toEqual([0, 1, 2, 4, 3, 5])
  })

  it('shows the count and the present step on a terminal', async () => {
    const names = [goodDomain(), goodDomain()]
    const { stderr } = await stage.cli(['check', ...names], { isTTY: true })
    expect(stderr).toContain(`0 of 2, ${names[0]}: TXT records`)
    expect(stderr.endsWith('\r\u{1b}[K')).toBe(true)
  })
})

describe('deadlines and timeouts', () => {
  it('ends a domain at its deadline with status 3, and names the step', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('handshake-stall')
    const argv = ['check', '--brief', '--connect', domain.name, '--deadline', '1000']
    const { status, stdout } = await stage.cli(argv)
    expect(status).toBe(3)
    expect(stdout).toContain(`? ${domain.name} unknown: no result within 1 second (MX hosts)`)
  })

  it.each([
    [
      'an MX host',
      (domain: ReturnType<typeof stage.domain>) => domain.mx().fails('handshake-stall'),
    ],
    ['a policy host', (domain: ReturnType<typeof stage.domain>) => domain.policyHost.fails('drip')],
  ])('--timeout shortens: %s was not found out about', async (_, breaks) => {
    const domain = stage.domain({ mode: 'enforce' })
    breaks(domain)
    const report = await stage.check(domain, '--connect', '--timeout', '1500')
    expect(report.exit).toBe(3)
    expect(report.verdict.status).toBe('unknown')
  })

  it('accepts a timeout of a few milliseconds', async () => {
    const { status, stderr } = await stage.cli(['check', goodDomain(), '--timeout', '1'])
    expect(stderr).toBe('')
    expect(status).toBe(3)
  })

  it('prints the results so far at Ctrl-C, and ends with status 3', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('handshake-stall')
    const good = goodDomain()
    const interrupted = new AbortController()
    const argv = ['check', '--json', '--connect', domain.name, good]
    const { status, stdout, stderr } = await stage.cli(argv, {
      signal: interrupted.signal,
      // Once the good one can be known, and the other one stalls
      connect: (target) => {
        const socket = stage.world.options().connect(target)
        if (target.host === `mx.${good}`) {
          socket.once('close', () =>
            setImmediate(() => interrupted.abort(new Error('interrupted'))),
          )
        }
        return socket
      },
    })
    const { domains } = JSON.parse(stdout)
    expect(domains.every((one: { domain: string }) => one.domain === good)).toBe(true)
    expect(stderr).toMatch(/^mta-sts: Interrupted: [01] of 2 were looked at\.$/m)
    expect(status).toBe(3)
  })
})

describe('connections', () => {
  it('are opened once to an address, however many domains and names lead to it', async () => {
    const host = stage.world.mx('mx.shared.example')
    host.certificate({ san: ['DNS:*.shared.example'] })
    const domains = Array.from({ length: 6 }, (_, n) => {
      const mx = [`mx${n}.shared.example`, 'mx.shared.example']
      stage.world.dns.set(`mx${n}.shared.example`, 'A', [host.ipv4])
      return stage.domain({ mode: 'enforce', mx })
    })
    stage.world.forget()
    const { status } = await stage.cli([
      ...['check', '--brief', '--connect'],
      ...domains.map(({ name }) => name),
    ])
    expect(status).toBe(0)
    expect(stage.world.dials.filter(({ address }) => address === host.ipv4)).toHaveLength(1)
  })

  it('are opened again for a name to which the host may show another certificate', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    stage.world.dns.set(domain.mx('mx2').name, 'A', [domain.mx('mx1').ipv4])
    const { exit, mx } = await stage.check(domain, '--connect')
    expect(mx.hosts[1]?.outcome).toBe('refused')
    expect(mx.hosts[1]?.sessions?.[0]?.problem?.resultType).toBe('certificate-host-mismatch')
    expect(exit).toBe(1)
  })

  it(`are at most ${MAX_SOCKETS} at a time`, async () => {
    const hosts = Array.from({ length: 20 }, (_, n) => `mx${n}`)
    const domains = Array.from({ length: 8 }, () => stage.domain({ mode: 'enforce', mx: hosts }))
    let [open, most] = [0, 0]
    const connect = (
      target: Parameters<ReturnType<typeof stage.world.options>['connect']>[0],
    ): Socket => {
      open++
      most = Math.max(most, open)
      const socket = stage.world.options().connect(target)
      socket.once('close', () => open--)
      return socket
    }
    const names = domains.map(({ name }) => name)
    const argv = ['check', '--brief', '--connect', '--deadline', '600000', ...names]
    const { status } = await stage.cli(argv, { connect })
    expect(status).toBe(0)
    expect(most).toBeLessThanOrEqual(MAX_SOCKETS)
    expect(most).toBeGreaterThan(MAX_SOCKETS / 4)
  })

  it('free their place when a task fails', async () => {
    const slots = new Gate(1)
    await expect(slots.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await slots.run(async () => 'next')).toBe('next')
  })
})
