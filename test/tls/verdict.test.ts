import type { ConnectionOptions, TLSSocket, TlsOptions } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CertificateAuthority, CertificateSpec } from '../../src/testing/authority.js'
import type { TlsFailure } from '../../src/tls/failures.js'
import { connectTls, isNamed } from '../../src/tls/handshake.js'
import { type TrustedRoots, tlsOptions, trustedRoots, verifiedTls } from '../../src/tls/options.js'
import type { Security } from '../../src/tls/security.js'
import {
  failedHandshake,
  isCertificateError,
  isHandshakeError,
  judge,
} from '../../src/tls/verdict.js'
import {
  chain,
  errorOf,
  handshake,
  type Issued,
  issue,
  makeAuthority,
  Servers,
  socketOf,
  x509,
} from './support.js'

const HOST = 'mx.example.com'
const STS = { level: 'authenticated', proofs: [{ by: 'sts' }] } as const
const AUDIT = { level: 'opportunistic', audit: { by: 'sts' } } as const

const servers = new Servers()
let authority: CertificateAuthority
/** An authority for certificates that the other one cannot make */
let root: Issued
let intermediate: Issued
let roots: TrustedRoots

beforeAll(async () => {
  authority = await makeAuthority()
  root = await issue({ subject: 'CN=Test Root', authority: {} })
  intermediate = await issue({ subject: 'CN=Test Intermediate', issuer: root, authority: {} })
  roots = trustedRoots([authority.root, root.pem])
})
afterAll(() => servers.close())

/** Type and reason, without what only one of two ways can report. */
function said({ resultType, reason }: TlsFailure): { resultType: string; reason?: string } {
  return reason === undefined ? { resultType } : { resultType, reason }
}

interface Judged {
  error: Error
  refused: TlsFailure
  audited: TlsFailure | undefined
}

/** The same server twice: a handshake that is verified, and one that is judged afterwards. */
async function bothWays(shown: TlsOptions): Promise<Judged> {
  const port = await servers.tls(shown)
  const error = errorOf(await handshake(port, verifiedTls(HOST, roots)))
  const socket = socketOf(await handshake(port, tlsOptions(HOST, AUDIT, roots)))
  const audited = judge(socket, HOST, AUDIT)
  // An enforced proof is judged in the same way
  expect(judge(socket, HOST, STS)).toEqual(audited)
  socket.destroy()
  // Nor is a handshake that remembers the name it has found
  const remembering = socketOf(await handshake(port, tlsOptions(HOST, AUDIT, roots), connectTls))
  expect(said(judge(remembering, HOST, AUDIT) ?? GOOD)).toEqual(said(audited ?? GOOD))
  remembering.destroy()
  return { error, refused: failedHandshake(error), audited }
}

const GOOD = { resultType: 'validation-failure', reason: 'rejected' } as const

const named = { san: [`DNS:${HOST}`] }
const MISMATCH = { resultType: 'certificate-host-mismatch' }
const EXPIRED = { resultType: 'certificate-expired' }
const notTrusted = (reason: string) => ({ resultType: 'certificate-not-trusted', reason })
const invalid = (reason: string) => ({ resultType: 'validation-failure', reason })

describe('[STS-36] enforced and audited proofs have the same verdict', () => {
  test.each<[name: string, spec: CertificateSpec, expected: object]>([
    ['another name', { san: ['DNS:other.example'] }, MISMATCH],
    ['a common name only', { cn: HOST }, MISMATCH],
    ['a partial wildcard', { san: ['DNS:m*.example.com'] }, MISMATCH],
    ['an address only', { cn: HOST, san: ['IP:192.0.2.1'] }, MISMATCH],
    ['expired', { ...named, validity: 'past' }, EXPIRED],
    ['not yet valid', { ...named, validity: 'future' }, invalid('certificate-not-yet-valid')],
    ['self-signed', { ...named, cn: HOST, signedBy: 'itself' }, notTrusted('self-signed')],
    [
      'a stranger, its root sent',
      { ...named, signedBy: 'stranger' },
      notTrusted('unknown-authority'),
    ],
    [
      'a stranger, nothing sent',
      { ...named, signedBy: 'stranger', chain: false },
      notTrusted('incomplete-chain'),
    ],
    ['no intermediate sent', { ...named, chain: false }, notTrusted('incomplete-chain')],
  ])('for %s', async (_, spec, expected) => {
    const { refused, audited } = await bothWays(await authority.issue(spec))
    expect(said(refused)).toEqual(expected)
    expect(audited && said(audited)).toEqual(expected)
  })

  describe('the chain before the name', () => {
    test.each<[name: string, spec: CertificateSpec, expected: object]>([
      [
        'self-signed',
        { san: ['DNS:other.example'], cn: 'x', signedBy: 'itself' },
        notTrusted('self-signed'),
      ],
      ['self-signed by common name', { cn: HOST, signedBy: 'itself' }, notTrusted('self-signed')],
      ['a stranger', { cn: HOST, signedBy: 'stranger' }, notTrusted('unknown-authority')],
      ['an incomplete chain', { cn: HOST, chain: false }, notTrusted('incomplete-chain')],
      ['expired', { cn: HOST, validity: 'past' }, EXPIRED],
      ['not yet valid', { cn: HOST, validity: 'future' }, invalid('certificate-not-yet-valid')],
    ])('decides for %s and another name', async (_, spec, expected) => {
      const { refused, audited } = await bothWays(await authority.issue(spec))
      expect(said(refused)).toEqual(expected)
      expect(audited && said(audited)).toEqual(expected)
    })

    test('decides for a self-signed, expired certificate with another name', async () => {
      const spec: CertificateSpec = { cn: 'x', signedBy: 'itself', validity: 'past' }
      const { refused, audited } = await bothWays(await authority.issue(spec))
      expect(['certificate-not-trusted', 'certificate-expired']).toContain(refused.resultType)
      expect(audited && said(audited)).toEqual(said(refused))
    })
  })

  describe('an invalid authority', () => {
    const leafOf = (issuer: Issued) => issue({ issuer, san: [HOST] })

    test('that is an expired intermediate', async () => {
      const old = await issue({
        subject: 'CN=Old Intermediate',
        issuer: root,
        authority: {},
        validity: [-30, -1],
      })
      const { refused, audited } = await bothWays(chain(await leafOf(old), old))
      expect(said(refused)).toEqual(EXPIRED)
      expect(audited && said(audited)).toEqual(EXPIRED)
    })

    test('that is a server which signs for another', async () => {
      const server = await issue({ subject: 'CN=server', issuer: intermediate, san: ['a.example'] })
      const { refused, audited } = await bothWays(chain(await leafOf(server), server, intermediate))
      expect(refused.resultType).toBe('certificate-not-trusted')
      expect(audited && said(audited)).toEqual(said(refused))
    })

    test('below one that allows no other below it', async () => {
      const narrow = await issue({
        subject: 'CN=Narrow Intermediate',
        issuer: root,
        authority: { pathLength: 0 },
      })
      const below = await issue({ subject: 'CN=One too many', issuer: narrow, authority: {} })
      const { refused, audited } = await bothWays(chain(await leafOf(below), below, narrow))
      expect(said(refused)).toEqual(notTrusted('path-length-exceeded'))
      expect(audited && said(audited)).toEqual(said(refused))
    })

    test('with another key under the same name', async () => {
      const impostor = await issue({ subject: 'CN=Test Root', authority: {} })
      const { refused, audited } = await bothWays(chain(await leafOf(impostor)))
      expect(said(refused)).toEqual(notTrusted('bad-signature'))
      expect(audited && said(audited)).toEqual(said(refused))
    })

    test('whose own authority is missing', async () => {
      const stranger = await issue({ subject: 'CN=Stranger', authority: {} })
      const lost = await issue({ subject: 'CN=Lost', issuer: stranger, authority: {} })
      const { refused, audited } = await bothWays(chain(await leafOf(lost), lost))
      expect(said(refused)).toEqual(notTrusted('unknown-authority'))
      expect(audited && said(audited)).toEqual(said(refused))
    })
  })

  describe('a certificate for another use', () => {
    test('with a purpose other than that of a server', async () => {
      const usage = x509.ExtendedKeyUsage.clientAuth
      const leaf = await issue({ issuer: root, san: [HOST], usage })
      const { refused, audited } = await bothWays(chain(leaf))
      expect(said(refused)).toEqual(notTrusted('wrong-purpose'))
      expect(audited && said(audited)).toEqual(said(refused))
    })

    // OpenSSL has about a hundred errors of verification; Node has names for thirty of them, and
    // UNSPECIFIED for the rest
    test('with an unknown critical extension', async () => {
      const extension = new x509.Extension('1.3.6.1.4.1.55555.1', true, new Uint8Array([5, 0]))
      const leaf = await issue({ issuer: root, san: [HOST], extensions: [extension] })
      const { error, refused, audited } = await bothWays(chain(leaf))
      expect(refused.resultType).toBe('certificate-not-trusted')
      expect(audited && said(audited)).toEqual(said(refused))
      expect(isCertificateError(error)).toBe(true)
    })

    test('of an authority that may not sign for such names', async () => {
      // NameConstraints ::= SEQUENCE { permittedSubtrees [0] { dNSName "example.net" } }
      const subtree = Buffer.from('\x82\x0bexample.net', 'latin1')
      const permitted = Buffer.concat([Buffer.from([0x30, subtree.length]), subtree])
      const subtrees = Buffer.concat([Buffer.from([0xa0, permitted.length]), permitted])
      const value = Buffer.concat([Buffer.from([0x30, subtrees.length]), subtrees])
      const constrained = await issue({
        subject: 'CN=Constrained',
        issuer: root,
        authority: {},
        extensions: [new x509.Extension('2.5.29.30', true, value)],
      })
      const leaf = await issue({ issuer: constrained, san: [HOST] })
      const { error, refused, audited } = await bothWays(chain(leaf, constrained))
      expect(refused.resultType).toBe('certificate-not-trusted')
      expect(audited && said(audited)).toEqual(said(refused))
      expect(isCertificateError(error)).toBe(true)
    })
  })

  test('a TLS version that is too low ends both before a verdict', async () => {
    const port = await servers.tls({
      ...(await authority.issue(named)),
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    })
    for (const options of [verifiedTls(HOST, roots), tlsOptions(HOST, AUDIT, roots)]) {
      const failure = failedHandshake(errorOf(await handshake(port, options)))
      expect(said(failure)).toEqual(invalid('tls-version'))
    }
  })

  test("the failure has Node's error as its cause", async () => {
    const { error, refused, audited } = await bothWays(
      await authority.issue({ ...named, validity: 'past' }),
    )
    expect(refused.cause).toBe(error)
    expect(audited?.cause).toBe('CERT_HAS_EXPIRED')
  })
})

describe('a complete proof', () => {
  test.each<Security>([STS, AUDIT, { level: 'encrypted', audit: { by: 'sts' } }])(
    '[STS-36] gives no failure under %j',
    async (security) => {
      const port = await servers.tls(await authority.issue(named))
      const socket = socketOf(await handshake(port, tlsOptions(HOST, security, roots)))
      expect(judge(socket, HOST, security)).toBeUndefined()
      socket.destroy()
    },
  )

  test.each<Security>([{ level: 'opportunistic' }, { level: 'encrypted' }])(
    'is not demanded under %j',
    async (security) => {
      const shown = await authority.issue({ cn: 'x', signedBy: 'itself', validity: 'past' })
      const port = await servers.tls(shown)
      const socket = socketOf(await handshake(port, tlsOptions(HOST, security, roots)))
      expect(judge(socket, HOST, security)).toBeUndefined()
      socket.destroy()
    },
  )

  test('is not given by TLSA records without a judge', async () => {
    const security: Security = {
      level: 'authenticated',
      proofs: [{ by: 'dane', tlsa: [], base: HOST, names: [HOST] }],
    }
    const port = await servers.tls(await authority.issue({ san: ['DNS:other.example'] }))
    const socket = socketOf(await handshake(port, tlsOptions(HOST, security, roots)))
    expect(judge(socket, HOST, security)).toEqual({
      resultType: 'validation-failure',
      reason: 'dane-not-available',
    })
    socket.destroy()
  })

  test('is judged by the given name, not the one in SNI', async () => {
    const port = await servers.tls(await authority.issue(named))
    const socket = socketOf(await handshake(port, verifiedTls(HOST, roots)))
    expect(socket.authorized).toBe(true)
    expect(judge(socket, 'other.example', STS)).toMatchObject(MISMATCH)
    socket.destroy()
  })

  test('is not given by a resumed session', async () => {
    const port = await servers.tls({
      ...(await authority.issue(named)),
      maxVersion: 'TLSv1.2',
    })
    const first = socketOf(await handshake(port, verifiedTls(HOST, roots)))
    const session = first.getSession()
    first.destroy()
    const other = 'other.example'
    const options = { ...tlsOptions(other, AUDIT, roots), ...(session ? { session } : {}) }
    // The same SNI, without which the server does not resume it
    const resumed = socketOf(await handshake(port, { ...options, servername: HOST }))
    // Node does not call checkServerIdentity for it
    expect(resumed.isSessionReused()).toBe(true)
    expect(judge(resumed, other, STS)).toMatchObject(MISMATCH)
    resumed.destroy()
  })
})

describe('judge, with sockets of any state', () => {
  interface Facts {
    protocol: string | null
    authorized: boolean
    authorizationError: unknown
    certificate: object
  }

  const socket = ({ protocol, certificate, ...rest }: Facts): TLSSocket =>
    ({
      getProtocol: () => protocol,
      getPeerCertificate: () => certificate,
      ...rest,
    }) as unknown as TLSSocket

  let good: Facts

  beforeAll(async () => {
    const port = await servers.tls(await authority.issue(named))
    const real = socketOf(await handshake(port, verifiedTls(HOST, roots)))
    good = {
      protocol: 'TLSv1.3',
      authorized: true,
      authorizationError: null,
      certificate: real.getPeerCertificate(),
    }
    real.destroy()
  })

  test('accepts the valid one', () => {
    expect(judge(socket(good), HOST, STS)).toBeUndefined()
  })

  test.each([null, 'SSLv3', 'TLSv1', 'TLSv1.1', 'unknown', ''])(
    '[STS-40] refuses %j as below TLS 1.2',
    (protocol) => {
      expect(judge(socket({ ...good, protocol }), HOST, STS)).toEqual(invalid('tls-version'))
    },
  )

  test('[STS-36] refuses one that is not authorized without an error', () => {
    expect(judge(socket({ ...good, authorized: false }), HOST, STS)).toEqual(
      notTrusted('not-authorized'),
    )
  })

  test.each<[error: unknown, expected: object]>([
    ['CERT_HAS_EXPIRED', EXPIRED],
    [Object.assign(new Error('x'), { code: 'CERT_HAS_EXPIRED' }), EXPIRED],
    ['CERT_REVOKED', notTrusted('revoked')],
    ['ERR_TLS_CERT_ALTNAME_INVALID', MISMATCH],
    ['SOMETHING_NEW', notTrusted('unspecified')],
    [`X_${'Y'.repeat(500)}`, notTrusted('unspecified')],
  ])('uses an authorizationError, even a new one: %#', (authorizationError, expected) => {
    const failure = judge(socket({ ...good, authorized: false, authorizationError }), HOST, STS)
    expect(failure && said(failure)).toEqual(expected)
    expect(failure?.cause).toBe(authorizationError)
  })

  test('refuses a missing certificate', () => {
    expect(judge(socket({ ...good, certificate: {} }), HOST, STS)).toMatchObject(MISMATCH)
  })
})

const CODES: Array<[code: string, expected: { resultType: string; reason?: string }]> = [
  ['CERT_HAS_EXPIRED', EXPIRED],
  ['CERT_NOT_YET_VALID', invalid('certificate-not-yet-valid')],
  ['ERR_TLS_CERT_ALTNAME_INVALID', MISMATCH],
  ['HOSTNAME_MISMATCH', MISMATCH],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', notTrusted('self-signed')],
  ['SELF_SIGNED_CERT_IN_CHAIN', notTrusted('unknown-authority')],
  ['UNABLE_TO_GET_ISSUER_CERT', notTrusted('unknown-authority')],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', notTrusted('unknown-authority')],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', notTrusted('incomplete-chain')],
  ['CERT_UNTRUSTED', notTrusted('untrusted')],
  ['CERT_REJECTED', notTrusted('rejected')],
  ['CERT_REVOKED', notTrusted('revoked')],
  ['CERT_CHAIN_TOO_LONG', notTrusted('chain-too-long')],
  ['CERT_SIGNATURE_FAILURE', notTrusted('bad-signature')],
  ['INVALID_CA', notTrusted('invalid-authority')],
  ['PATH_LENGTH_EXCEEDED', notTrusted('path-length-exceeded')],
  ['INVALID_PURPOSE', notTrusted('wrong-purpose')],
]

const VERSION_CODES = [
  'ERR_SSL_UNSUPPORTED_PROTOCOL',
  'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
  'ERR_SSL_WRONG_SSL_VERSION',
  'ERR_SSL_UNKNOWN_PROTOCOL',
]

const ADVICE = '; if the root CA is installed locally, try running Node.js with --use-system-ca'

const withCode = (code: string, rest: object = {}) =>
  Object.assign(new Error('said by Node'), { code, ...rest })

describe('the table of codes', () => {
  test.each(CODES)('maps %s', (code, expected) => {
    const error = withCode(code)
    expect(failedHandshake(error)).toEqual({ ...expected, cause: error })
    expect(isCertificateError(error)).toBe(true)
  })

  test.each(VERSION_CODES)('[STS-40] maps %s to a missing common TLS version', (code) => {
    const error = withCode(code)
    expect(failedHandshake(error)).toEqual({ ...invalid('tls-version'), cause: error })
    expect(isCertificateError(error)).toBe(false)
  })

  test('maps a handshake that timed out', () => {
    const error = withCode('ETIMEDOUT')
    expect(failedHandshake(error)).toEqual({ ...invalid('handshake-timeout'), cause: error })
    expect(isCertificateError(error)).toBe(false)
  })

  test.each<unknown>([
    withCode('ECONNRESET'),
    withCode('EPIPE'),
    withCode('ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE'),
    withCode('cert_has_expired'),
    withCode('constructor'),
    withCode('__proto__'),
    new Error('without a code'),
    Object.assign(new Error('a number'), { code: 42 }),
    'a string',
    undefined,
    null,
    {},
  ])('maps anything else to a failed handshake: %s', (error) => {
    expect(failedHandshake(error)).toEqual({ ...invalid('handshake-failed'), cause: error })
    expect(isCertificateError(error)).toBe(false)
  })
})

describe('isHandshakeError', () => {
  test.each([...CODES.map(([code]) => code), ...VERSION_CODES])('accepts %s', (code) => {
    expect(isHandshakeError(withCode(code))).toBe(true)
    expect(isHandshakeError(withCode('ESOCKET', { originalCode: code }))).toBe(true)
  })

  test.each([
    'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
    'ERR_SSL_NO_CIPHERS_AVAILABLE',
    'ERR_TLS_HANDSHAKE_TIMEOUT',
    'ETLS',
  ])('accepts %s', (code) => {
    expect(isHandshakeError(withCode(code))).toBe(true)
  })

  test("accepts one that has only OpenSSL's text left", () => {
    const error = Object.assign(new Error('certificate has expired'), { code: 'ESOCKET' })
    expect(isHandshakeError(error)).toBe(true)
  })

  test.each<unknown>([
    withCode('ECONNRESET'),
    withCode('ETIMEDOUT'),
    withCode('ESOCKET'),
    withCode('ECONNECTION', { originalCode: 'ECONNREFUSED' }),
    withCode('EENVELOPE', { responseCode: 550, response: 'ERR_SSL_' }),
    { code: 'ETLS' },
    'ETLS',
    undefined,
    null,
  ])('refuses %s', (error) => {
    expect(isHandshakeError(error)).toBe(false)
  })
})

describe('errors that Nodemailer has changed', () => {
  describe("since version 10, with Node's code in another field", () => {
    test.each(CODES)('map %s', (originalCode, expected) => {
      for (const code of ['ESOCKET', 'ETLS', 'ECONNECTION']) {
        const error = withCode(code, { originalCode, command: 'CONN' })
        expect(failedHandshake(error)).toEqual({ ...expected, cause: error })
      }
    })

    test.each(VERSION_CODES)('[STS-40] map %s', (originalCode) => {
      const error = withCode('ETLS', { originalCode })
      expect(said(failedHandshake(error))).toEqual(invalid('tls-version'))
    })
  })

  describe("before version 10, with only OpenSSL's text", () => {
    test.each<[message: string, expected: object]>([
      ['certificate has expired', EXPIRED],
      ['certificate is not yet valid', invalid('certificate-not-yet-valid')],
      ['self-signed certificate', notTrusted('self-signed')],
      ['self-signed certificate in certificate chain', notTrusted('unknown-authority')],
      ['unable to get local issuer certificate', notTrusted('unknown-authority')],
      ['unable to get issuer certificate', notTrusted('unknown-authority')],
      ['unable to verify the first certificate', notTrusted('incomplete-chain')],
      ['certificate signature failure', notTrusted('bad-signature')],
      ['unsuitable certificate purpose', notTrusted('wrong-purpose')],
      // Node adds advice since version 24
      [`self-signed certificate${ADVICE}`, notTrusted('self-signed')],
      [`unable to verify the first certificate${ADVICE}`, notTrusted('incomplete-chain')],
      [`unable to get local issuer certificate${ADVICE}`, notTrusted('unknown-authority')],
    ])('map %s', (message, expected) => {
      for (const code of ['ESOCKET', 'ETLS', 'ECONNECTION']) {
        const error = Object.assign(new Error(message), { code, command: 'CONN' })
        expect(failedHandshake(error)).toEqual({ ...expected, cause: error })
      }
    })

    const openssl = (reason: string) =>
      Object.assign(new Error(`C0FFEE:error:0A:SSL routines:::${reason}:x.c:1:`), {
        code: 'ETLS',
        library: 'SSL routines',
        reason,
      })

    test.each(['tlsv1 alert protocol version', 'unsupported protocol'])(
      '[STS-40] map %s',
      (reason) => {
        expect(said(failedHandshake(openssl(reason)))).toEqual(invalid('tls-version'))
      },
    )

    test('map plaintext in place of TLS to no version failure', () => {
      expect(said(failedHandshake(openssl('wrong version number')))).toEqual(
        invalid('handshake-failed'),
      )
    })

    test("do not include Nodemailer's own errors", () => {
      for (const message of ['Connection closed', 'Timeout', 'read ECONNRESET', '']) {
        const error = Object.assign(new Error(message), { code: 'ESOCKET' })
        expect(said(failedHandshake(error))).toEqual(invalid('handshake-failed'))
      }
    })

    test('ignore the text of an error with a code of Node', () => {
      const error = Object.assign(new Error('certificate has expired'), { code: 'ECONNRESET' })
      expect(said(failedHandshake(error))).toEqual(invalid('handshake-failed'))
    })
  })

  test.each<[name: string, spec: CertificateSpec]>([
    ['another name', { san: ['DNS:other.example'] }],
    ['a common name only', { cn: HOST }],
    ['expired', { ...named, validity: 'past' }],
    ['not yet valid', { ...named, validity: 'future' }],
    ['self-signed', { ...named, cn: HOST, signedBy: 'itself' }],
    ['a stranger, its root sent', { ...named, signedBy: 'stranger' }],
    ['no intermediate sent', { ...named, chain: false }],
  ])('keep the meaning of a real error whose code was overwritten: %s', async (_, spec) => {
    const port = await servers.tls(await authority.issue(spec))
    const error = errorOf(await handshake(port, verifiedTls(HOST, roots)))
    const before = said(failedHandshake(error))
    Object.assign(error, { code: 'ESOCKET', command: 'CONN' })
    expect(said(failedHandshake(error))).toEqual(before)
  })

  test('[STS-40] keep the meaning of a real version error', async () => {
    const port = await servers.tls({
      ...(await authority.issue(named)),
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    })
    const error = errorOf(await handshake(port, verifiedTls(HOST, roots)))
    Object.assign(error, { code: 'ESOCKET', command: 'CONN' })
    expect(said(failedHandshake(error))).toEqual(invalid('tls-version'))
  })
})

describe('a handshake remembers the host that its certificate names', () => {
  const OTHER = 'mx2.example.com'
  const both = { san: [`DNS:${HOST}`, `DNS:${OTHER}`] }

  test('[STS-36] and no other host is taken for it', async () => {
    const port = await servers.tls(await authority.issue(named))
    const socket = socketOf(await handshake(port, verifiedTls(HOST, roots), connectTls))
    expect(isNamed(socket, HOST)).toBe(true)
    expect(judge(socket, HOST, STS)).toBeUndefined()
    expect(judge(socket, OTHER, STS)).toMatchObject(MISMATCH)
    socket.destroy()
  })

  test('[STS-36] a remembered certificate counts for its host and no other one, and no other certificate counts', async () => {
    const mine = await servers.tls(await authority.issue(named))
    const others = await servers.tls(await authority.issue({ san: [`DNS:${OTHER}`] }))
    for (const port of [mine, mine]) {
      const socket = socketOf(await handshake(port, verifiedTls(HOST, roots), connectTls))
      expect(judge(socket, HOST, STS)).toBeUndefined()
      socket.destroy()
    }
    for (const [port, options] of [
      [mine, verifiedTls(OTHER, roots)],
      [others, verifiedTls(HOST, roots)],
    ] as const) {
      const error = errorOf(await handshake(port, options, connectTls))
      expect(failedHandshake(error)).toMatchObject(MISMATCH)
    }
  })

  test('the whole chain can be read afterwards, also of a host that is refused', async () => {
    const port = await servers.tls(await authority.issue(named))
    const socket = socketOf(await handshake(port, verifiedTls(HOST, roots), connectTls))
    expect(socket.getPeerCertificate(true).issuerCertificate.raw).toBeInstanceOf(Buffer)
    expect(socket.getPeerCertificate()).not.toHaveProperty('issuerCertificate')
    socket.destroy()
    const refused = errorOf(await handshake(port, verifiedTls(OTHER, roots), connectTls))
    expect(refused).toHaveProperty('cert.issuerCertificate.raw')
  })

  test('another host that the certificate names too is found by a look at it', async () => {
    const port = await servers.tls(await authority.issue(both))
    const socket = socketOf(await handshake(port, verifiedTls(HOST, roots), connectTls))
    expect(isNamed(socket, OTHER)).toBe(false)
    expect(judge(socket, OTHER, STS)).toBeUndefined()
    socket.destroy()
  })

  test.each<[name: string, changes: ConnectionOptions]>([
    ['by a comparison of the caller', { checkServerIdentity: () => undefined }],
    ['with the name of another host', { host: OTHER, servername: OTHER }],
  ])('nothing is remembered %s, and a certificate for neither is refused', async (_, changes) => {
    const port = await servers.tls(await authority.issue({ san: ['DNS:third.example'] }))
    const options = { ...tlsOptions(HOST, AUDIT, roots), ...changes }
    const socket = socketOf(await handshake(port, options, connectTls))
    expect(isNamed(socket, HOST)).toBe(false)
    expect(isNamed(socket, OTHER)).toBe(false)
    expect(judge(socket, HOST, STS)).toMatchObject(MISMATCH)
    socket.destroy()
  })
})
