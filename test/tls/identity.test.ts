import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { type PeerCertificate, connect as tlsConnect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CertificateAuthority, CertificateSpec } from '../../src/testing/authority.js'
import { connectTls } from '../../src/tls/handshake.js'
import { checkServerIdentity, namesOnly } from '../../src/tls/identity.js'
import { trustedRoots, verifiedTls } from '../../src/tls/options.js'
import { failedHandshake, judge } from '../../src/tls/verdict.js'
import {
  chain,
  errorOf,
  handshake,
  issue,
  makeAuthority,
  Servers,
  socketOf,
  x509,
} from './support.js'

interface IdentityCase {
  host: string
  certificate: { san: string[]; cn?: string }
  expected: boolean
  rule: string
}

const vectors: { cases: IdentityCase[] } = JSON.parse(
  readFileSync(new URL('../fixtures/vectors/certificate-identity.json', import.meta.url), 'utf8'),
)

const servers = new Servers()
let authority: CertificateAuthority

beforeAll(async () => {
  authority = await makeAuthority()
})
afterAll(() => servers.close())

/** The used part of the certificate, as `getPeerCertificate` returns it. */
async function peerCertificate(spec: CertificateSpec): Promise<PeerCertificate> {
  const { cert } = await authority.issue(spec)
  return parsed(cert)
}

function parsed(pem: string): PeerCertificate {
  return new X509Certificate(pem).toLegacyObject() as PeerCertificate
}

const STS = { level: 'authenticated', proofs: [{ by: 'sts' }] } as const

describe('the vectors', () => {
  test('are complete', () => {
    expect(vectors.cases.length).toBeGreaterThanOrEqual(10)
  })

  test.each(vectors.cases)(
    '[STS-37] hold by function: $host, $certificate, $rule',
    async (vector) => {
      const { host, certificate, expected } = vector
      const error = checkServerIdentity(host, await peerCertificate(certificate))
      if (expected) expect(error).toBeUndefined()
      else expect(error).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID', host })
    },
  )

  test.each(vectors.cases)('[STS-37] hold in a handshake: $host, $certificate', async (vector) => {
    const { host, certificate, expected } = vector
    const port = await servers.tls(await authority.issue(certificate))
    for (const connect of [tlsConnect, connectTls]) {
      const result = await handshake(port, verifiedTls(host, trustedRoots(authority.root)), connect)
      if (!expected) {
        const failure = failedHandshake(errorOf(result))
        expect(failure).toMatchObject({ resultType: 'certificate-host-mismatch' })
        continue
      }
      const socket = socketOf(result)
      expect(socket.authorized).toBe(true)
      expect(judge(socket, host, STS)).toBeUndefined()
      socket.destroy()
    }
  })
})

describe('[STS-37] DNS-IDs are whole names', () => {
  test.each<[host: string, san: string]>([
    ['mx.example.com', '*.example.com'],
    ['mx.example.com', 'MX.Example.Com'],
    ['MX.EXAMPLE.COM', '*.Example.com'],
    ['xn--mx-xka.example.com', '*.example.com'],
    ['mx-1.example.com', '*.example.com'],
    ['m.example.com', 'm.example.com'],
  ])('%s matches %s', async (host, san) => {
    const certificate = await peerCertificate({ san: [`DNS:${san}`] })
    expect(checkServerIdentity(host, certificate)).toBeUndefined()
  })

  test.each<[host: string, san: string]>([
    ['example.com', '*.example.com'],
    ['a.mx.example.com', '*.example.com'],
    ['mx.example.com', '*.*.com'],
    ['mx.example.com', '*'],
    ['example.com', '*.com'],
    ['mx.example.com', 'm*.example.com'],
    ['mx.example.com', '*x.example.com'],
    ['mx.example.com', 'm*x.example.com'],
    ['mx.example.com', 'mx.*.com'],
    ['mx.example.com', 'mx.example.*'],
    ['mx.example.com', '.example.com'],
    ['mx.example.com', 'example.com'],
    ['mx.example.com', 'mx.example.com.evil.example'],
    ['mx.example.com', 'evil-mx.example.com'],
    ['mx.example.com', 'mx.example.co'],
    ['xn--mx-xka.example.com', 'xn--*.example.com'],
  ])('%s does not match %s', async (host, san) => {
    const certificate = await peerCertificate({ san: [`DNS:${san}`] })
    expect(checkServerIdentity(host, certificate)).toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    })
  })

  test('a name with a NUL does not match its beginning', async () => {
    const issuer = await issue({ subject: 'CN=Root', authority: {} })
    const leaf = await issue({ issuer, san: ['mx.example.com\u0000.evil.example'] })
    const certificate = parsed(leaf.pem)
    expect(certificate.raw.includes('mx.example.com\u0000.evil.example')).toBe(true)
    expect(checkServerIdentity('mx.example.com', certificate)).toBeInstanceOf(Error)

    const port = await servers.tls(chain(leaf, issuer))
    const result = await handshake(port, verifiedTls('mx.example.com', trustedRoots(issuer.pem)))
    expect(failedHandshake(errorOf(result)).resultType).toBe('certificate-host-mismatch')
  })

  test('a URI and a mail address do not count', async () => {
    const names = new x509.SubjectAlternativeNameExtension(
      [
        { type: 'url', value: 'https://mx.example.com/' },
        { type: 'email', value: 'postmaster@mx.example.com' },
      ],
      true,
    )
    const { pem } = await issue({ extensions: [names] })
    expect(new X509Certificate(pem).subjectAltName).toContain('mx.example.com')
    expect(checkServerIdentity('mx.example.com', parsed(pem))).toBeInstanceOf(Error)
  })

  test('[STS-37] a common name does not count beside addresses either', async () => {
    const certificate = await peerCertificate({ cn: 'mx.example.com', san: ['IP:192.0.2.1'] })
    expect(checkServerIdentity('mx.example.com', certificate)).toBeInstanceOf(Error)
  })

  test.each(['192.0.2.1', '2001:db8::1', '[192.0.2.1]'])(
    '[STS-37] an address does not match, even if the certificate holds it: %s',
    async (host) => {
      const address = host.replace(/[[\]]/g, '')
      const certificate = await peerCertificate({ cn: address, san: [`IP:${address}`] })
      expect(isIP(address)).toBeGreaterThan(0)
      expect(certificate.subjectaltname).toContain('IP Address:')
      expect(checkServerIdentity(host, certificate)).toMatchObject({
        reason: `${host} is not a host name`,
      })
    },
  )
})

describe("[STS-37] a runtime's list of names is read only where it has one meaning", () => {
  const HOST = 'mx.example.com'
  const dns = (value: string) => ({ type: 'dns' as const, value })
  const url = (value: string) => ({ type: 'url' as const, value })
  const email = (value: string) => ({ type: 'email' as const, value })
  const list = (...names: ReturnType<typeof dns | typeof url | typeof email>[]) =>
    new x509.SubjectAlternativeNameExtension(names, true)

  test('accepts the only name, in capital letters too', async () => {
    const { pem } = await issue({ extensions: [list(dns('MX.Example.com'))] })
    expect(namesOnly(parsed(pem), HOST)).toBe(true)
    expect(checkServerIdentity(HOST, parsed(pem))).toBeUndefined()
    expect(namesOnly(parsed(pem), 'other.example')).toBe(false)
  })

  test.each([HOST.toUpperCase(), `${HOST}.`, '*.example.com', '192.0.2.1', ''])(
    'does not accept %j as a host, whatever the list says',
    async (host) => {
      const { pem } = await issue({ extensions: [list(dns(host))] })
      expect(namesOnly(parsed(pem), host)).toBe(false)
    },
  )

  test.each([
    ['a DNS name with a comma', [dns(`a.example, DNS:${HOST}`)]],
    ['a DNS name with two commas', [dns(`a.example, DNS:${HOST}, DNS:b.example`)]],
    ['a DNS name with a line break', [dns(`a.example\n, DNS:${HOST}`)]],
    ['a DNS name with a NUL', [dns(`${HOST}\u0000.evil.example`)]],
    ['a DNS name with a space', [dns(`${HOST} `)]],
    ['a URI with commas', [url(`https://a.example/, DNS:${HOST}, DNS:b.example`)]],
    ['a mail address with commas', [email(`a@a.example, DNS:${HOST}, DNS:b.example`)]],
    ['a DNS name with quotes', [dns(`a.example", DNS:${HOST}, DNS:"b.example`)]],
    ['a mail address', [email(HOST)]],
    ['the host with a root dot', [dns(`${HOST}.`)]],
    ['a longer name', [dns(`x.${HOST}`), dns(`${HOST}.example`)]],
  ])('refuses a certificate with %s', async (_, names) => {
    const issuer = await issue({ subject: 'CN=Root', authority: {} })
    const leaf = await issue({ issuer, extensions: [list(...names)] })
    expect(new X509Certificate(leaf.pem).subjectAltName).toContain(HOST)
    expect(namesOnly(parsed(leaf.pem), HOST)).toBe(false)

    const port = await servers.tls(chain(leaf, issuer))
    const options = verifiedTls(HOST, trustedRoots(issuer.pem))
    const failure = failedHandshake(errorOf(await handshake(port, options, connectTls)))
    expect(failure.resultType).toBe('certificate-host-mismatch')
  })

  test.each([
    '',
    `DNS:*.example.com`,
    // Deno's list of one name that holds a comma, and of two names
    `DNS:a.example, DNS:${HOST}`,
    `DNS:${HOST}, IP Address:192.0.2.1`,
    `URI:https://a.example/, DNS:${HOST}`,
    `URI:"https://a.example/, DNS:${HOST}, DNS:b.example"`,
    `DNS:${HOST}, email:a@a.example`,
    `DNS:${HOST}, `,
    `DNS:a.example,DNS:${HOST}`,
    `DNS:a.example\nDNS:${HOST}`,
    `DNS:${HOST}\n`,
  ])('leaves the list %j to the certificate', (subjectaltname) => {
    expect(namesOnly({ subjectaltname } as PeerCertificate, HOST)).toBe(false)
  })

  test.each([
    [HOST, 'other.example'],
    ['other.example', HOST],
  ])('refuses a certificate with two lists of names: %s, %s', async (first, second) => {
    const issuer = await issue({ subject: 'CN=Root', authority: {} })
    const leaf = await issue({ issuer, extensions: [list(dns(first)), list(dns(second))] })
    const port = await servers.tls(chain(leaf, issuer))
    const options = verifiedTls(HOST, trustedRoots(issuer.pem))
    for (const connect of [tlsConnect, connectTls]) {
      expect(errorOf(await handshake(port, options, connect))).toBeInstanceOf(Error)
    }
  })
})

describe('hosts in the forms of node:tls', () => {
  test.each<[host: string, san: string]>([
    ['mx.example.com.', 'mx.example.com'],
    ['MX.Example.com.', '*.example.com'],
    ['mx.b\u{fc}cher.example', 'mx.xn--bcher-kva.example'],
    ['MX.B\u{dc}CHER.example.', '*.xn--bcher-kva.example'],
  ])('%s matches %s', async (host, san) => {
    const certificate = await peerCertificate({ san: [`DNS:${san}`] })
    expect(checkServerIdentity(host, certificate)).toBeUndefined()
  })

  test.each<[host: string, san: string]>([
    ['mx.example.com.', 'mx.example.org'],
    ['example.com.', '*.example.com'],
    ['mx.b\u{fc}cher.example', 'mx.bucher.example'],
  ])('%s does not match %s', async (host, san) => {
    const certificate = await peerCertificate({ san: [`DNS:${san}`] })
    expect(checkServerIdentity(host, certificate)).toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      host,
    })
  })
})

describe('invalid hosts', () => {
  const long = `${'a'.repeat(63)}.`.repeat(3)

  test.each([
    '.example.com',
    '',
    '.',
    'a..b',
    '*.example.com',
    'mx.example.com\u0000.evil',
    'mx.example.com\u0000',
    'mx.example.com ',
    'mx_1.example.com',
    '-mx.example.com',
    'mx.example.com:25',
    'mx..example.com.',
    'mx.example.com..',
    'm\u{2024}x.example.com',
    `${long}${'a'.repeat(62)}.example.com`,
    `${'a'.repeat(64)}.example.com`,
    `${'a.'.repeat(100_000)}example.com`,
  ])('are refused whatever the certificate: %j', async (host) => {
    const san = ['DNS:*.example.com', 'DNS:mx.example.com', 'DNS:example.com']
    const error = checkServerIdentity(host, await peerCertificate({ san }))
    expect(error).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID', host })
    expect(error?.message).toContain('is not a host name')
  })

  test('do not include a name of 253 characters', async () => {
    const host = `${long}${'a'.repeat(49)}.example.com`
    expect(host).toHaveLength(253)
    expect(checkServerIdentity(host, await peerCertificate({ san: [`DNS:${host}`] }))).toBe(
      undefined,
    )
    const other = `${'b'.repeat(63)}${host.slice(63)}`
    expect(
      checkServerIdentity(other, await peerCertificate({ san: [`DNS:${host}`] })),
    ).toBeDefined()
  })

  test('are escaped and truncated in the error', async () => {
    const host = `\u001b[31m\u202e${'x'.repeat(5000)}`
    const error = checkServerIdentity(host, await peerCertificate({ san: ['DNS:a.example'] }))
    expect(error?.message).toContain('\\u{1b}[31m\\u{202e}xxx')
    expect(error?.message.length).toBeLessThan(400)
  })
})

describe('the error', () => {
  test("has the shape of Node's own, with the names of the certificate", async () => {
    const certificate = await peerCertificate({ san: ['DNS:a.example', 'DNS:b.example'] })
    const error = checkServerIdentity('mx.example.com', certificate)
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      reason: 'the certificate is for DNS:a.example, DNS:b.example, not for mx.example.com',
      host: 'mx.example.com',
      cert: certificate,
    })
  })

  test('names a missing DNS name', async () => {
    const error = checkServerIdentity('mx.example.com', await peerCertificate({ cn: 'x.example' }))
    expect(error?.message).toContain('no DNS name at all')
  })

  test('truncates a long list of names', async () => {
    const san = Array.from({ length: 100 }, (_, i) => `DNS:mx${i}.somewhere.example`)
    const error = checkServerIdentity('mx.example.com', await peerCertificate({ san }))
    expect(error?.message.length).toBeLessThan(400)
  })

  test('names a missing certificate', () => {
    for (const certificate of [{}, undefined, { subject: { CN: 'mx.example.com' } }]) {
      const error = checkServerIdentity('mx.example.com', certificate as PeerCertificate)
      expect(error).toMatchObject({ reason: 'the peer sent no certificate' })
    }
  })

  test("does not use Node's text for the names", async () => {
    const certificate = await peerCertificate({ san: ['DNS:other.example'] })
    const forged = { ...certificate, subjectaltname: 'DNS:mx.example.com' }
    expect(checkServerIdentity('mx.example.com', forged)).toBeInstanceOf(Error)
  })
})
