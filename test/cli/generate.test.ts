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

describe('mta-sts generate', () => {
  it('writes records, policy file and snippets', async () => {
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

  it.each(['nginx', 'caddy'])('writes the same policy into the snippet for %s', async (server) => {
    const setup = await generated(...BASE, '--mx', 'mx2.example.com,*.backup.example.net')
    const body = /"(version: [^"]*)"/.exec(setup[server])?.[1] ?? ''
    expect(parsePolicy(body)).toEqual(parsePolicy(setup.policy.body))
    expect(setup[server]).toContain('mta-sts.example.com')
  })

  it('reads hosts in upper case, with U-labels and with a root dot', async () => {
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

  it('writes no TLSRPT record without --rua, and needs no --mx for mode none', async () => {
    const { records, mx } = await generated(
      ...['generate', '--domain', 'example.com', '--mode', 'none'],
    )
    expect(records).toHaveLength(1)
    expect(mx).toEqual([])
  })
})

describe('a policy that is too long to stand in a configuration', () => {
  const hosts = Array.from({ length: 120 }, (_, n) => `mx${n}.a-rather-long-name.example.com`)
  const argv = ['generate', '--domain', 'example.com', '--mx', ...hosts]

  it('is served from a file by the snippets for nginx and Caddy', async () => {
    const { nginx, caddy, policy } = await generated(...argv)
    expect(Buffer.byteLength(policy.body)).toBeGreaterThan(4096)
    const file = '/var/www/mta-sts.example.com/.well-known/mta-sts.txt'
    expect(nginx).toContain(`alias ${file};`)
    expect(caddy).toContain(file)
    for (const snippet of [nginx, caddy]) expect(snippet).not.toContain('version: STSv1')
  })

  it('is part of the snippet up to the limit of nginx', async () => {
    for (let count = 85; count < 105; count++) {
      const { nginx } = await generated(...argv.slice(0, 4), ...hosts.slice(0, count))
      const parameters = Array.from(nginx.matchAll(/"[^"]*"/g), ([text = '']) => text)
      for (const text of parameters) expect(Buffer.byteLength(text)).toBeLessThan(4096)
    }
  })
})

describe('the domain and its hosts', () => {
  it('reads the domain from the argument', async () => {
    const { domain, mx } = await generated(
      'generate',
      'example.com',
      '--mx',
      'a.example',
      'b.example',
    )
    expect({ domain, mx }).toEqual({ domain: 'example.com', mx: ['a.example', 'b.example'] })
  })

  it('uses the present MX records without --mx', async () => {
    const { name } = stage.domain({ mx: ['mx1', 'mx2'] })
    const { status, stdout } = await stage.cli(['generate', name, '--json'])
    expect(status).toBe(0)
    expect(JSON.parse(stdout).mx).toEqual([`mx1.${name}`, `mx2.${name}`])
  })

  it.each([
    ['null-mx', 'takes no mail'],
    ['servfail', 'could not be looked up: the name servers fail'],
  ] as const)('refuses to guess: %s', async (fault, message) => {
    const domain = stage.domain()
    if (fault === 'servfail') domain.dns.fails('servfail', 'mx')
    else domain.dns.fails(fault)
    const { status, stdout, stderr } = await stage.cli(['generate', domain.name])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain('Which hosts? --mx HOST.')
    expect(stderr).toContain(message)
  })

  it('refuses MX records that no policy may hold', async () => {
    const domain = stage.domain()
    const mx = [{ preference: 10, exchange: '192.0.2.77' }]
    stage.world.dns.set(domain.name, 'MX', mx)
    const { status, stderr } = await stage.cli(['generate', domain.name])
    expect(status).toBe(2)
    expect(stderr).toContain('--mx takes a host name, or "*." and one, not "192.0.2.77"')
  })
})

describe('warnings', () => {
  it.each([
    [['--max-age', '3600'], 'max_age is under a day (1 hour)'],
    [['--max-age', '0'], 'senders drop the policy at once'],
    [['--mx', '*.com'], '"mx: *.com" names every domain below com'],
    [['--mx', 'com'], '"mx: com" has one label only'],
    [['--mode', 'none', '--max-age', '31536000'], 'Mode none for 365 days'],
  ])('%j', async (argv, message) => {
    const { warnings } = await generated(...BASE, ...argv)
    expect(warnings.join(' ')).toContain(message)
  })

  it.each(['mta-sts', '_mta-sts', '_smtp._tls'])('of a domain below %s', async (label) => {
    const { warnings } = await generated(
      ...['generate', `${label}.example.com`, '--mx', 'mx.example.com'],
    )
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('is likely example.com.')
  })

  it.each([
    [[]],
    [['--max-age', '86400']],
    [['--mode', 'none', '--max-age', '86400']],
    [['--mx', '*.co.uk']],
  ])('none for %j', async (argv) => {
    expect((await generated(...BASE, ...argv)).warnings).toEqual([])
  })
})

describe('rua', () => {
  it.each([
    ['mailto:tls@bücher.example', 'mailto:tls@xn--bcher-kva.example'],
    ['https://bücher.example/v1', 'https://xn--bcher-kva.example/v1'],
    ['mailto:a%21b@example.com', 'mailto:a%21b@example.com'],
    ['https://example.com/a%2Cb%3Bc', 'https://example.com/a%2Cb%3Bc'],
  ])('takes %s as %s', async (uri, published) => {
    const { records } = await generated(...BASE, '--rua', uri)
    expect(records[1].text).toBe(`v=TLSRPTv1; rua=${published};`)
    expect(parseTlsRptRecord(records[1].text).rua).toEqual([published])
  })
})

describe('setups that no sender could read', () => {
  it.each([
    [['generate', '--mx', 'mx.example.com'], 'Which domain?'],
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
    [[...BASE, '--rua', 'mailto:a%2Cb@example.com'], 'one plain mailbox (no quotes, no commas)'],
    [[...BASE, '--mode', 'none', '--mode', 'testing'], '--mode is given twice.'],
    [
      [
        'generate',
        '--domain',
        `${'a'.repeat(61)}.`.repeat(4).slice(0, 247),
        '--mx',
        'mx.example.com',
      ],
      'too long for MTA-STS',
    ],
  ])('%j', async (argv, message) => {
    const { status, stdout, stderr } = await cli(argv)
    expect(status).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain(message)
  })
})

describe('--check', () => {
  it('warns of mode enforce without --check', async () => {
    const { stderr, warnings } = await generated(...BASE, '--mode', 'enforce')
    expect(stderr).toMatch(/^! Mode enforce, without a look/)
    expect(warnings).toHaveLength(1)
  })

  const compare = (name: string, ...hosts: string[]) =>
    stage.cli(['generate', '--check', '--mode', 'enforce', '--domain', name, '--mx', ...hosts])

  it('ends with status 0 where the policy names every MX host', async () => {
    const { name } = stage.domain({ mx: ['mx1', 'mx2'] })
    const { status, stderr } = await compare(name, `*.${name}`)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })

  it('names MX hosts outside the policy, and patterns without an MX host', async () => {
    const { name } = stage.domain({ mx: ['mx1', 'mx2'] })
    const { status, stdout, stderr } = await compare(name, `mx1.${name}`, 'old.example.net')
    expect(status).toBe(1)
    expect(stdout).toContain('mode: enforce')
    const words = stderr.replace(/\s+/g, ' ')
    expect(words).toContain(`does not name: mx2.${name}`)
    expect(words).toContain('matches old.example.net')
  })

  it('compares a domain without MX records as its own MX host', async () => {
    const { name } = stage.domain({ mx: [] })
    expect((await compare(name, name)).status).toBe(0)
    expect((await compare(name, 'mx.example.net')).status).toBe(1)
  })

  it('ends with status 0 for mode none, whatever it names', async () => {
    const { name } = stage.domain({ mx: ['mx1', 'mx2'] })
    const argv = ['generate', '--check', '--mode', 'none', '--domain', name]
    const { status, stderr } = await stage.cli(argv)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })

  it('warns of a domain that does not exist, or takes no mail', async () => {
    const gone = await compare('not-there.example', 'mx.example.net')
    expect(gone.status).toBe(1)
    expect(gone.stderr).toContain('The domain not-there.example does not exist.')
    const domain = stage.domain()
    domain.dns.fails('null-mx')
    const none = await compare(domain.name, 'mx.example.net')
    expect(none.status).toBe(0)
    expect(none.stderr).toContain('takes no mail (null MX record, RFC 7505)')
  })

  it.each([
    ['aspmx.l.google.test', '*.google.test', 'Write "mx: *.l.google.test"'],
    ['mx1.mailer.test', 'mailer.test', 'Write "mx: mx1.mailer.test"'],
  ])('explains to the owner of %s why "%s" does not match it', async (host, pattern, hint) => {
    const { name } = stage.domain({ mx: [host] })
    const { status, stderr } = await compare(name, pattern)
    expect(status).toBe(1)
    expect(stderr.replace(/\s+/g, ' ')).toContain(hint)
  })

  it('ends with status 3 where the DNS fails', async () => {
    const domain = stage.domain()
    domain.dns.fails('servfail', 'mx')
    const { status, stderr } = await compare(domain.name, `mx.${domain.name}`)
    expect(status).toBe(3)
    expect(stderr).toContain('could not be looked up')
  })
})
