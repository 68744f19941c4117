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
  test('asks for everything, whatever the environment says', () => {
    const roots = trustedRoots(authority.root)
    expect(verifiedTls(HOST, roots)).toEqual({
      host: HOST,
      servername: HOST,
      secureContext: roots,
      rejectUnauthorized: true,
      checkServerIdentity,
    })
  })

  test('an address is not sent as SNI (RFC 6066 §3), and still checked', async () => {
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

  test('[STS-39] the name goes out as SNI', async () => {
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

  test('NODE_TLS_REJECT_UNAUTHORIZED=0 changes nothing', async () => {
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

  test('[STS-40] TLS 1.2 and 1.3 are spoken, TLS 1.1 is not', async () => {
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

  test('verified when it has to be authenticated', () => {
    const options = tlsOptions(HOST, { level: 'authenticated', proofs: [{ by: 'sts' }] }, roots)
    expect(options).toEqual(verifiedTls(HOST, roots))
  })

  test.each<Security>([
    { level: 'opportunistic' },
    { level: 'encrypted' },
    { level: 'opportunistic', audit: { by: 'sts' } },
    { level: 'encrypted', audit: { by: 'sts' } },
    { level: 'authenticated', proofs: [{ by: 'dane', tlsa: [], base: HOST, names: [HOST] }] },
  ])('[STS-39] the same but for the end of the handshake: %j', (security) => {
    const { rejectUnauthorized, ...rest } = tlsOptions(HOST, security, roots)
    const { rejectUnauthorized: verified, ...expected } = verifiedTls(HOST, roots)
    expect(rest).toEqual(expected)
    expect([verified, rejectUnauthorized]).toEqual([true, false])
  })

  test('[STS-40] TLS 1.2 is the least for a peer that proves nothing, too', async () => {
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

  test('a string, a Buffer, a list of either, a bundle: the root is trusted', async () => {
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

  test('nothing else is trusted beside them', async () => {
    const { pem: other } = await issue({ subject: 'CN=Other Root', authority: {} })
    const failure = failedHandshake(errorOf(await handshakeWith(other)))
    expect(failure).toMatchObject({ resultType: 'certificate-not-trusted' })
  })

  test('without them, those of Node are: ours is not one of them', async () => {
    const failure = failedHandshake(errorOf(await handshakeWith(undefined)))
    expect(failure).toMatchObject({ resultType: 'certificate-not-trusted' })
  })

  test('the list that was given is not kept', async () => {
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
  ])('%s is refused', (_, ca, message) => {
    expect(() => trustedRoots(ca as string)).toThrow(new TypeError(message))
  })

  test('a key, and one good root beside a bad one, are refused', async () => {
    const { key, pem } = await issue({ subject: 'CN=Root', authority: {} })
    expect(() => trustedRoots(key)).toThrow(UNREADABLE)
    expect(() => trustedRoots([pem, key])).toThrow(UNREADABLE)
    expect(() => trustedRoots([pem, 'junk'])).toThrow(NOT_PEM)
  })

  test('a bundle is read to its end: one root in it that cannot be read is refused', async () => {
    const { pem } = await issue({ subject: 'CN=Root', authority: {} })
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
    expect(() => trustedRoots(`${pem}\n${broken}`)).toThrow(UNREADABLE)
  })
})
