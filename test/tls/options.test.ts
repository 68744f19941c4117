import { createSecureContext } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { CertificateAuthority } from '../../src/testing/authority.js'
import { checkServerIdentity } from '../../src/tls/identity.js'
import { tlsOptions, trustedRoots, verifiedTls } from '../../src/tls/options.js'
import type { Security } from '../../src/tls/security.js'
import { failedHandshake } from '../../src/tls/verdict.js'
import { errorOf, handshake, issue, makeAuthority, Servers, socketOf } from './support.js'

const HOST = 'mx.example.com'
const servers = new Servers()
let authority: CertificateAuthority

beforeAll(async () => {
  authority = await makeAuthority()
})
afterEach(() => vi.unstubAllEnvs())
afterAll(() => servers.close())

const good = () => authority.issue({ san: [`DNS:${HOST}`] })

describe('verifiedTls', () => {
  test('verifies everything, whatever the environment', () => {
    const roots = trustedRoots(authority.root)
    expect(verifiedTls(HOST, roots)).toEqual({
      host: HOST,
      servername: HOST,
      secureContext: roots,
      rejectUnauthorized: true,
      checkServerIdentity,
    })
  })

  test('does not send an address as SNI (RFC 6066 §3), but checks it', async () => {
    const seen: string[] = []
    const port = await servers.tls({
      ...(await authority.issue({ san: ['IP:192.0.2.1'] })),
      SNICallback: (servername, done) => {
        seen.push(servername)
        done(null)
      },
    })
    const options = verifiedTls('192.0.2.1', trustedRoots(authority.root))
    expect(options).not.toHaveProperty('servername')
    const error = errorOf(await handshake(port, options))
    expect(error).toMatchObject({ host: '192.0.2.1', code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
    expect(seen).toEqual([])
  })

  test('[STS-39] sends the name as SNI', async () => {
    const seen: string[] = []
    const port = await servers.tls({
      ...(await good()),
      SNICallback: (servername, done) => {
        seen.push(servername)
        done(null)
      },
    })
    const result = await handshake(port, verifiedTls(HOST, trustedRoots(authority.root)))
    socketOf(result).destroy()
    expect(seen).toEqual([HOST])
  })

  test('ignores NODE_TLS_REJECT_UNAUTHORIZED=0', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    // Node warns of it once in a process
    using warned = vi.spyOn(process, 'emitWarning').mockReturnValue(undefined)
    const port = await servers.tls(
      await authority.issue({ san: [`DNS:${HOST}`], signedBy: 'itself' }),
    )
    const error = errorOf(await handshake(port, verifiedTls(HOST, trustedRoots(authority.root))))
    expect(error).toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
    expect(warned).toHaveBeenCalledWith(expect.stringContaining('NODE_TLS_REJECT_UNAUTHORIZED'))
  })

  test('[STS-40] allows TLS 1.2 and 1.3, refuses TLS 1.1', async () => {
    const credentials = await good()
    const roots = trustedRoots(authority.root)
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const port = await servers.tls({ ...credentials, minVersion: version, maxVersion: version })
      const socket = socketOf(await handshake(port, verifiedTls(HOST, roots)))
      expect(socket.getProtocol()).toBe(version)
      socket.destroy()
    }
    for (const version of ['TLSv1', 'TLSv1.1'] as const) {
      const port = await servers.tls({
        ...credentials,
        minVersion: version,
        maxVersion: version,
        ciphers: 'DEFAULT@SECLEVEL=0',
      })
      const error = errorOf(await handshake(port, verifiedTls(HOST, roots)))
      expect(failedHandshake(error)).toMatchObject({ reason: 'tls-version' })
    }
  })
})

describe('tlsOptions', () => {
  const roots = createSecureContext()

  test('verify a host that must be authenticated', () => {
    const options = tlsOptions(HOST, { level: 'authenticated', proofs: [{ by: 'sts' }] }, roots)
    expect(options).toEqual(verifiedTls(HOST, roots))
  })

  test.each<Security>([
    { level: 'opportunistic' },
    { level: 'encrypted' },
    { level: 'opportunistic', audit: { by: 'sts' } },
    { level: 'encrypted', audit: { by: 'sts' } },
    { level: 'authenticated', proofs: [{ by: 'dane', tlsa: [], base: HOST, names: [HOST] }] },
  ])('[STS-39] differ only in the end of the handshake: %j', (security) => {
    const { rejectUnauthorized, ...rest } = tlsOptions(HOST, security, roots)
    const { rejectUnauthorized: verified, ...expected } = verifiedTls(HOST, roots)
    expect(rest).toEqual(expected)
    expect([verified, rejectUnauthorized]).toEqual([true, false])
  })

  test('[STS-40] demand TLS 1.2 without a proof, too', async () => {
    const port = await servers.tls({
      ...(await good()),
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    })
    const options = tlsOptions(
      HOST,
      { level: 'opportunistic', audit: { by: 'sts' } },
      trustedRoots(authority.root),
    )
    expect(failedHandshake(errorOf(await handshake(port, options)))).toMatchObject({
      resultType: 'validation-failure',
      reason: 'tls-version',
    })
  })
})

describe('trustedRoots', () => {
  const handshakeWith = async (ca: Parameters<typeof trustedRoots>[0]) => {
    const port = await servers.tls(await good())
    return handshake(port, verifiedTls(HOST, trustedRoots(ca)))
  }

  test('accepts a string, a Buffer, a list of either, a bundle', async () => {
    const { pem: other } = await issue({ subject: 'CN=Other Root', authority: {} })
    const { root } = authority
    for (const ca of [
      root,
      Buffer.from(root),
      [other, root],
      [Buffer.from(other), Buffer.from(root)],
      `${other}\n${root}`,
      `# the roots of our network\n\n${root}`,
    ]) {
      const socket = socketOf(await handshakeWith(ca))
      expect(socket.authorized).toBe(true)
      socket.destroy()
    }
  })

  test('trusts nothing else', async () => {
    const { pem: other } = await issue({ subject: 'CN=Other Root', authority: {} })
    const failure = failedHandshake(errorOf(await handshakeWith(other)))
    expect(failure).toMatchObject({ resultType: 'certificate-not-trusted' })
  })

  test("trusts Node's roots by default, without ours", async () => {
    const failure = failedHandshake(errorOf(await handshakeWith(undefined)))
    expect(failure).toMatchObject({ resultType: 'certificate-not-trusted' })
  })

  test('does not keep the given list', async () => {
    const list = [authority.root]
    const roots = trustedRoots(list)
    list.length = 0
    const port = await servers.tls(await good())
    const socket = socketOf(await handshake(port, verifiedTls(HOST, roots)))
    expect(socket.authorized).toBe(true)
    socket.destroy()
  })

  const NOT_PEM = 'it is not PEM: "-----BEGIN CERTIFICATE-----" is missing'
  const UNREADABLE = 'it holds no certificate that can be read'

  test.each<[name: string, ca: unknown, message: string]>([
    ['an empty string', '', NOT_PEM],
    ['text', 'not a certificate', NOT_PEM],
    ['a file name', '/etc/ssl/certs/ca.pem', NOT_PEM],
    ['DER', Buffer.from('3082', 'hex'), NOT_PEM],
    ['a number', 42, NOT_PEM],
    ['null', null, NOT_PEM],
    ['true', true, NOT_PEM],
    ['an object', { ca: 'x' }, NOT_PEM],
    ['a list with undefined', [undefined], NOT_PEM],
    ['an empty list', [], 'it holds no certificate'],
    [
      'an armour round nothing',
      '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n',
      UNREADABLE,
    ],
    [
      'an armour round noise',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      UNREADABLE,
    ],
  ])('refuses %s', (_, ca, message) => {
    expect(() => trustedRoots(ca as string)).toThrow(new TypeError(message))
  })

  test('refuses a key, and one invalid root beside a valid one', async () => {
    const { key, pem } = await issue({ subject: 'CN=Root', authority: {} })
    expect(() => trustedRoots(key)).toThrow(UNREADABLE)
    expect(() => trustedRoots([pem, key])).toThrow(UNREADABLE)
    expect(() => trustedRoots([pem, 'junk'])).toThrow(NOT_PEM)
  })

  test('reads a bundle to its end: one unreadable root refuses it', async () => {
    const { pem } = await issue({ subject: 'CN=Root', authority: {} })
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
    expect(() => trustedRoots(`${pem}\n${broken}`)).toThrow(UNREADABLE)
  })
})
