/** `mta-sts generate`: what it writes is read back by the parsers; what they refuse, it refuses. */
import { describe, expect, it } from 'vitest'
import { parsePolicy, parseRecord } from '../../src/index.js'
import { parseTlsRptRecord } from '../../src/tlsrpt/index.js'
import { cli, useWorld } from './support.js'

const stage = useWorld()
const NOW = { now: () => Date.UTC(2026, 7, 1, 12, 30, 15) }
const BASE = ['generate', '--domain', 'example.com', '--mx', 'mx1.example.com']

async function generated(...argv: string[]) {
  const { status, stdout, stderr } = await cli([...argv, '--json'], NOW)
  expect(status).toBe(0)
  return { ...JSON.parse(stdout), stderr }
}

describe('what is generated', () => {
  it('is this', async () => {
    const { status, stdout, stderr } = await cli(
      [...BASE, '*.mx.example.net', '--rua', 'mailto:tls@example.com'],
      NOW,
    )
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toBe(`; DNS. Publish the policy first, then the record that says it is there.
_mta-sts.example.com. IN TXT "v=STSv1; id=20260801T123015Z;"
_smtp._tls.example.com. IN TXT "v=TLSRPTv1; rua=mailto:tls@example.com;"
; and A and AAAA, or CNAME, for mta-sts.example.com

# https://mta-sts.example.com/.well-known/mta-sts.txt
version: STSv1
mode: testing
mx: mx1.example.com
mx: *.mx.example.net
max_age: 604800

# nginx
server {
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name mta-sts.example.com;
    ssl_certificate     /etc/letsencrypt/live/mta-sts.example.com/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/mta-sts.example.com/privkey.pem;

    location = /.well-known/mta-sts.txt {
        default_type text/plain;
        return 200 "version: STSv1
mode: testing
mx: mx1.example.com
mx: *.mx.example.net
max_age: 604800
";
    }
    location / {
        return 404;
    }
}

# Caddy
mta-sts.example.com {
	header /.well-known/mta-sts.txt Content-Type text/plain
	respond /.well-known/mta-sts.txt "version: STSv1
mode: testing
mx: mx1.example.com
mx: *.mx.example.net
max_age: 604800
" 200
	respond 404
}
`)
  })

  it.each([
    ['testing', []],
    ['enforce', ['--mode', 'enforce', '--max-age', '31557600']],
    ['none', ['--mode', 'none', '--max-age', '0']],
  ])('is read back as what was asked for: %s', async (mode, argv) => {
    const setup = await generated(...BASE, '--id', 'Abc123', ...argv)
    const policy = parsePolicy(setup.policy.body)
    expect(policy).toMatchObject({ mode, mx: ['mx1.example.com'], maxAge: setup.maxAge })
    expect(setup.policy.body.endsWith('\r\n')).toBe(true)
    expect(parseRecord(setup.records[0].text).id).toBe('Abc123')
    expect(setup.policy.url).toBe('https://mta-sts.example.com/.well-known/mta-sts.txt')
  })

  it.each(['nginx', 'caddy'])('is the same policy in the snippet for %s', async (server) => {
    const setup = await generated(...BASE, '--mx', 'mx2.example.com,*.backup.example.net')
    const body = /"(version: [^"]*)"/.exec(setup[server])?.[1] ?? ''
    expect(parsePolicy(body)).toEqual(parsePolicy(setup.policy.body))
    expect(setup[server]).toContain('mta-sts.example.com')
  })

  it('takes hosts as users write them', async () => {
    const { mx, domain } = await generated(
      ...['generate', '--domain', 'Bücher.example', '--mx', 'MX1.Bücher.example.'],
      ...['*.Example.NET', 'mx1.bücher.example'],
    )
    expect(domain).toBe('xn--bcher-kva.example')
    expect(mx).toEqual(['mx1.xn--bcher-kva.example', '*.example.net'])
  })

  it('writes a TLSRPT record of several URIs, in strings that DNS takes', async () => {
    const uris = Array.from({ length: 9 }, (_, n) => `mailto:report-number-${n}@tls.example.net`)
    const argv = [...BASE, ...uris.flatMap((uri) => ['--rua', uri])]
    const setup = await generated(...argv)
    expect(parseTlsRptRecord(setup.records[1].text).rua).toEqual(uris)
    const { stdout } = await cli(argv, NOW)
    const zone = /_smtp\._tls\S+ IN TXT \(\n([^)]*)\)/.exec(stdout)?.[1] ?? ''
    const strings = Array.from(zone.matchAll(/"([^"]*)"/g), ([, text = '']) => text)
    expect(strings.join('')).toBe(setup.records[1].text)
    expect(Math.max(...strings.map((text) => text.length))).toBeLessThanOrEqual(255)
  })

  it('has no rua without --rua, and needs no --mx for mode none', async () => {
    const { records, mx } = await generated(
      ...['generate', '--domain', 'example.com', '--mode', 'none'],
    )
    expect(records).toHaveLength(1)
    expect(mx).toEqual([])
  })
})

describe('what no sender could read is refused', () => {
  it.each([
    [['generate', '--mx', 'mx.example.com'], 'Which domain?'],
    [['generate', '--domain', 'example.com'], 'Which hosts?'],
    [['generate', '--domain', 'no domain', '--mx', 'mx.example.com'], 'is not a domain name'],
    [[...BASE, '--mx', '192.0.2.1'], '--mx takes a host name'],
    [[...BASE, '--mx', 'mx*.example.com'], '--mx takes a host name'],
    [[...BASE, '--mx', '*.*.example.com'], '--mx takes a host name'],
    [[...BASE, '--mx', 'mx_1.example.com'], 'mx_1.example.com'],
    [[...BASE, '--mx', ''], '--mx takes a host name'],
    [[...BASE, '--mode', 'strict'], '--mode takes enforce, testing, none'],
    [[...BASE, '--max-age', '31557601'], '--max-age takes a whole number, 0 to 31557600'],
    [[...BASE, '--max-age', '1d'], '--max-age'],
    [[...BASE, '--id', 'not-an-id'], '1 to 32 letters and digits'],
    [[...BASE, '--id', 'x'.repeat(33)], '1 to 32 letters and digits'],
    [[...BASE, '--rua', 'tls@example.com'], '--rua takes mailto:'],
    [[...BASE, '--rua', 'mailto:a@example.com,mailto:b@example.com'], '--rua takes mailto:'],
    [[...BASE, '--rua', 'mailto:a@example.com; x=y'], '--rua takes mailto:'],
    [[...BASE, '--rua', 'https://'], '--rua takes mailto:'],
  ])('%j', async (argv, message) => {
    const { status, stdout, stderr } = await cli(argv)
    expect(status).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain(message)
  })
})

describe('--check', () => {
  it('warns where enforce is chosen without it', async () => {
    const { stderr, warnings } = await generated(...BASE, '--mode', 'enforce')
    expect(stderr).toMatch(/^! Mode enforce, without a look/)
    expect(warnings).toHaveLength(1)
  })

  const compare = (name: string, ...hosts: string[]) =>
    stage.cli(['generate', '--check', '--mode', 'enforce', '--domain', name, '--mx', ...hosts])

  it('is content where the policy names every MX host', async () => {
    const { name } = stage.domain({ mx: ['mx1', 'mx2'] })
    const { status, stderr } = await compare(name, `*.${name}`)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })

  it('tells which MX host is missing, and which pattern is for none', async () => {
    const { name } = stage.domain({ mx: ['mx1', 'mx2'] })
    const { status, stdout, stderr } = await compare(name, `mx1.${name}`, 'old.example.net')
    expect(status).toBe(1)
    expect(stdout).toContain('mode: enforce')
    const words = stderr.replace(/\s+/g, ' ')
    expect(words).toContain(`does not name: mx2.${name}`)
    expect(words).toContain('matches old.example.net')
  })

  it('takes a domain without MX records for its own MX host', async () => {
    const { name } = stage.domain({ mx: [] })
    expect((await compare(name, name)).status).toBe(0)
    expect((await compare(name, 'mx.example.net')).status).toBe(1)
  })

  it('could not find out where the DNS fails', async () => {
    const domain = stage.domain()
    domain.dns.fails('servfail', 'mx')
    const { status, stderr } = await compare(domain.name, `mx.${domain.name}`)
    expect(status).toBe(3)
    expect(stderr).toContain('could not be looked up')
  })
})
