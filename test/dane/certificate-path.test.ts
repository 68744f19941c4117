/** Paths to a DANE-TA anchor without a case in the vectors, and the bounds of the work. */
import {
  createHash,
  generateKeyPairSync,
  randomBytes,
  webcrypto,
  X509Certificate,
} from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { describe, expect, it } from 'vitest'
import { judgeCertificates, verifyPeer } from '../../src/dane/verify.js'
import type { TlsaRecord } from '../../src/tls/security.js'
import { x509 } from '../support/x509.js'
import { derOf, pemOf, vectors, withPeer } from './support.js'

const MX = 'mx.example.com'
const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const rsa = (modulusLength: number, hash = 'SHA-256', name = 'RSASSA-PKCS1-v1_5') => ({
  name,
  modulusLength,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash,
  saltLength: 20,
})

type Algorithm = typeof EC | ReturnType<typeof rsa>
type Extension = InstanceType<typeof x509.Extension>

interface Made {
  der: Uint8Array
  subject: string
  keys: webcrypto.CryptoKeyPair
  algorithm: Algorithm
}

interface Spec {
  subject?: string
  issuer?: Made
  algorithm?: Algorithm
  /** As an issuer: with this path length, or undefined for none */
  authority?: { pathLength?: number }
  san?: string[]
  extensions?: Extension[]
  keys?: webcrypto.CryptoKeyPair
}

async function make(spec: Spec): Promise<Made> {
  const { algorithm = EC, authority, subject = '' } = spec
  const keys =
    spec.keys ?? (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']))
  const issuer = spec.issuer ?? { subject, keys, algorithm }
  const san = spec.san?.map((value) => ({ type: 'dns' as const, value }))
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject,
      issuer: issuer.subject,
      notBefore: new Date(Date.now() - 86_400_000),
      notAfter: new Date(Date.now() + 86_400_000),
      publicKey: keys.publicKey,
      signingKey: issuer.keys.privateKey,
      signingAlgorithm: issuer.algorithm,
      extensions: [
        ...(authority
          ? [new x509.BasicConstraintsExtension(true, authority.pathLength, true)]
          : []),
        ...(san ? [new x509.SubjectAlternativeNameExtension(san)] : []),
        ...(spec.extensions ?? []),
      ],
    },
    webcrypto,
  )
  return { der: new Uint8Array(certificate.rawData), subject, keys, algorithm }
}

/** Makes keys with any public exponent, which not every WebCrypto can. */
async function rsaKeys(publicExponent: number): Promise<webcrypto.CryptoKeyPair> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicExponent,
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
    publicKeyEncoding: { type: 'spki', format: 'der' },
  })
  const { subtle } = webcrypto
  return {
    privateKey: await subtle.importKey('pkcs8', privateKey, rsa(2048), true, ['sign']),
    publicKey: await subtle.importKey('spki', publicKey, rsa(2048), true, ['verify']),
  }
}

const full = (anchor: Made): TlsaRecord => ({
  usage: 2,
  selector: 0,
  matchingType: 0,
  data: anchor.der,
})

function judge(chain: readonly Made[], tlsa: readonly TlsaRecord[], names = [MX]) {
  const all = chain.map(({ der }) => der)
  return judgeCertificates({ own: all[0], all: () => all }, tlsa, { names, now: Date.now() })
}

const root = (spec: Spec = {}) => make({ subject: 'CN=Root', authority: {}, ...spec })

const refusedFor = (reason: string) => ({
  outcome: 'fail',
  resultType: 'certificate-not-trusted',
  reason,
})

/** A DER element of any length. */
function der(tag: number, ...parts: Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts)
  const length =
    content.length < 128 ? [content.length] : [0x82, content.length >> 8, content.length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), content])
}

/** Name constraints with one permitted or excluded subtree. */
function constraints(kind: 'permitted' | 'excluded', base: Uint8Array): Extension {
  const subtrees = der(kind === 'permitted' ? 0xa0 : 0xa1, der(0x30, base))
  return new x509.Extension('2.5.29.30', true, der(0x30, subtrees))
}

const dns = (name: string) => der(0x82, Buffer.from(name))

describe('[DANE-7] a path', () => {
  it('is accepted from a leaf to the root in the record', async () => {
    const anchor = await root()
    const leaf = await make({ issuer: anchor, san: [MX] })
    expect(judge([leaf], [full(anchor)])).toMatchObject({ outcome: 'match', depth: 1 })
  })

  it.each([
    ['RSA with 512 bits in the leaf', { algorithm: rsa(512) }, 'weak-key'],
    [
      'a key that only signs certificates',
      { extensions: [new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true)] },
      'wrong-purpose',
    ],
  ])('is refused with %s', async (_, spec, reason) => {
    const anchor = await root()
    const leaf = await make({ issuer: anchor, san: [MX], ...spec })
    expect(judge([leaf], [full(anchor)])).toEqual(refusedFor(reason))
  })

  it.each([
    ['SHA-1 by RSA', rsa(2048, 'SHA-1')],
    ['SHA-1 by RSA-PSS', rsa(2048, 'SHA-1', 'RSA-PSS')],
  ])('is refused with a signature over %s', async (_, algorithm) => {
    const anchor = await root({ algorithm })
    const leaf = await make({ issuer: anchor, san: [MX] })
    expect(judge([leaf], [full(anchor)])).toEqual(refusedFor('weak-signature'))
  })

  it('is accepted with a signature over SHA-256 by RSA-PSS', async () => {
    const anchor = await root({ algorithm: rsa(2048, 'SHA-256', 'RSA-PSS') })
    const leaf = await make({ issuer: anchor, san: [MX] })
    expect(judge([leaf], [full(anchor)])).toMatchObject({ outcome: 'match' })
  })

  it('has a length that counts only issuers that are not self-issued', async () => {
    const anchor = await root({ authority: { pathLength: 0 } })
    const again = await make({ subject: 'CN=Root', issuer: anchor, authority: {} })
    const leaf = await make({ issuer: again, san: [MX] })
    expect(judge([leaf, again], [full(anchor)])).toMatchObject({ outcome: 'match' })
    const other = await make({ subject: 'CN=Other', issuer: anchor, authority: {} })
    const below = await make({ issuer: other, san: [MX] })
    expect(judge([below, other], [full(anchor)])).toEqual(refusedFor('path-length-exceeded'))
  })

  it('does not end at a certificate that is sent twice', async () => {
    const leaf = await make({ subject: 'CN=Self', authority: {}, san: [MX] })
    expect(judge([leaf, leaf], [{ ...full(leaf), matchingType: 1, data: digest(leaf) }])).toEqual(
      refusedFor('tlsa-mismatch'),
    )
  })
})

function digest({ der: data }: Made): Uint8Array {
  const hex = new X509Certificate(data).fingerprint256.replaceAll(':', '')
  return Buffer.from(hex, 'hex')
}

describe('[DANE-7] name constraints', () => {
  const under = async (constraint: Extension, spec: Spec, names = [MX]) => {
    const anchor = await root({ extensions: [constraint] })
    const leaf = await make({ issuer: anchor, ...spec })
    return judge([leaf], [full(anchor)], names)
  }

  it.each([
    ['permitted', 'example.com', true],
    ['permitted', '.example.com', true],
    ['permitted', 'EXAMPLE.com', true],
    ['permitted', '', true],
    ['permitted', 'mx.example.com', true],
    ['permitted', 'ample.com', false],
    ['permitted', '.mx.example.com', false],
    ['excluded', 'example.com', false],
    ['excluded', 'example.net', true],
  ] as const)('%s %j: allowed is %s', async (kind, base, allowed) => {
    const verdict = await under(constraints(kind, dns(base)), { san: [MX] })
    expect(verdict.outcome).toBe(allowed ? 'match' : 'fail')
    if (!allowed) expect(verdict).toEqual(refusedFor('name-constraints'))
  })

  it('apply to a common name without a DNS name', async () => {
    const spec = { subject: `CN=${MX}` }
    expect(await under(constraints('permitted', dns('example.net')), spec)).toEqual(
      refusedFor('name-constraints'),
    )
    expect(await under(constraints('permitted', dns('example.com')), spec)).toMatchObject({
      outcome: 'match',
    })
  })

  it('apply to a name that only a wildcard covers', async () => {
    const spec = { san: ['*.example.com'] }
    expect(await under(constraints('excluded', dns(MX)), spec)).toEqual(
      refusedFor('name-constraints'),
    )
  })

  it('apply to the subject, if they are of directory names', async () => {
    const organization = (name: string) => {
      const oid = Buffer.from([0x06, 3, 0x55, 4, 10])
      return der(0xa4, der(0x30, der(0x31, der(0x30, oid, der(0x0c, Buffer.from(name))))))
    }
    const spec = { subject: 'O=Example, CN=leaf', san: [MX] }
    expect(await under(constraints('permitted', organization('Example')), spec)).toMatchObject({
      outcome: 'match',
    })
    expect(await under(constraints('permitted', organization('Other')), spec)).toEqual(
      refusedFor('name-constraints'),
    )
    expect(await under(constraints('excluded', organization('Example')), spec)).toEqual(
      refusedFor('name-constraints'),
    )
  })

  it('refuse when they cannot be read', async () => {
    const broken = new x509.Extension('2.5.29.30', true, new Uint8Array([0x30, 0x20, 0xa0]))
    expect(await under(broken, { san: [MX] })).toMatchObject({
      outcome: 'fail',
      resultType: 'certificate-not-trusted',
    })
  })
})

describe('the peer of a handshake', () => {
  const chain = ['ee', 'ca2', 'ca1', 'root'].map(pemOf)
  const server = { chain, key: vectors.keys.ee ?? '' }
  const anchor: TlsaRecord = { usage: 2, selector: 0, matchingType: 0, data: derOf('root') }
  const other: TlsaRecord = { ...anchor, data: derOf('rogueRoot') }

  it('can be judged any number of times', async () => {
    const verdicts = await withPeer(server, (socket) =>
      [anchor, other, anchor].map(
        (record) => verifyPeer(socket, [record], [MX], vectors.now).outcome,
      ),
    )
    expect(verdicts).toEqual(['match', 'fail', 'match'])
  })

  it('[DANE-6] keeps its certificate after a verdict on DANE-EE records', async () => {
    const record: TlsaRecord = { usage: 3, selector: 0, matchingType: 0, data: derOf('ee') }
    await withPeer(server, (socket) => {
      expect(verifyPeer(socket, [record], [MX]).outcome).toBe('match')
      expect(socket.getPeerCertificate().raw).toEqual(Buffer.from(derOf('ee')))
    })
  })
})

describe('bounds', () => {
  /** Limit of a verdict here, in milliseconds, on a busy machine. */
  const LIMIT = 2000

  function timed<T>(work: () => T): T {
    const begun = performance.now()
    const result = work()
    expect(performance.now() - begun).toBeLessThan(LIMIT)
    return result
  }

  const ee = { own: derOf('ee'), all: () => [derOf('ee'), derOf('ca2')] }
  const demand = { names: [MX], now: vectors.now }

  it.each([0, 1, 2])(
    'refuse a TLSA record of three octets, matching type %i, as unusable',
    (type) => {
      const record = { usage: 3, selector: 1, matchingType: type, data: new Uint8Array() }
      expect(judgeCertificates(ee, [record], demand)).toEqual({ outcome: 'unusable' })
    },
  )

  it('refuse 100 records of 64 KiB of rubbish as unusable', () => {
    const records = Array.from({ length: 100 }, (_, n) => ({
      usage: 2 + (n % 2),
      selector: n % 2,
      matchingType: 0,
      data: der(0x30, randomBytes(65_000)),
    }))
    expect(timed(() => judgeCertificates(ee, records, demand))).toEqual({ outcome: 'unusable' })
  })

  it('fail for 100 anchors that have signed nothing', () => {
    const records: TlsaRecord[] = Array.from({ length: 100 }, () => ({
      usage: 2,
      selector: 0,
      matchingType: 0,
      data: derOf('rogueRoot'),
    }))
    expect(timed(() => judgeCertificates(ee, records, demand))).toEqual(refusedFor('tlsa-mismatch'))
  })

  it('fail for a chain of 100 certificates that have all signed each other', async () => {
    // One name and one key: each is an issuer of each other
    const first = await root()
    const all = [first.der]
    for (let n = 1; n < 100; n++) {
      const next = await x509.X509CertificateGenerator.create(
        {
          subject: 'CN=Root',
          issuer: 'CN=Root',
          serialNumber: n.toString(16).padStart(4, '0'),
          publicKey: first.keys.publicKey,
          signingKey: first.keys.privateKey,
          signingAlgorithm: EC,
          extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
        },
        webcrypto,
      )
      all.push(new Uint8Array(next.rawData))
    }
    const record: TlsaRecord = { usage: 2, selector: 0, matchingType: 0, data: derOf('root') }
    const peer = { own: all[0], all: () => all }
    expect(timed(() => judgeCertificates(peer, [record], { ...demand, now: Date.now() }))).toEqual(
      refusedFor('tlsa-mismatch'),
    )
  })

  it.each([
    ['65537', 65_537, { outcome: 'match' }],
    ['2147483649, which is slow to check', 2 ** 31 + 1, refusedFor('tlsa-mismatch')],
  ])('judge a signature of RSA with the public exponent %s', async (_, exponent, verdict) => {
    const keys = await rsaKeys(exponent)
    const issuer = await make({ subject: 'CN=Root', algorithm: rsa(2048), authority: {}, keys })
    const leaf = await make({ issuer, san: [MX] })
    expect(judge([leaf, issuer], [full(issuer)])).toMatchObject(verdict)
  })

  it('judge a chain of 100 certificates in a handshake by its first twenty', async () => {
    const filler = Array.from({ length: 96 }, () => pemOf('rogueRoot'))
    const chain = [pemOf('ee'), pemOf('ca2'), pemOf('ca1'), pemOf('root'), ...filler]
    const record: TlsaRecord = { usage: 2, selector: 0, matchingType: 0, data: derOf('root') }
    const server = { chain, key: vectors.keys.ee ?? '' }
    const verdict = await withPeer(server, (socket) =>
      timed(() => verifyPeer(socket, [record], [MX], vectors.now)),
    )
    expect(verdict).toMatchObject({ outcome: 'match' })
  })

  it('fail for a peer without a certificate', () => {
    const record: TlsaRecord = { usage: 3, selector: 0, matchingType: 0, data: derOf('ee') }
    expect(judgeCertificates({ own: undefined, all: () => [] }, [record], demand)).toEqual({
      outcome: 'fail',
      resultType: 'validation-failure',
      reason: 'no-certificate',
    })
  })

  it('[DANE-6] match an unreadable certificate by its digest', () => {
    const own = new Uint8Array([0x30, 1, 0])
    const data = createHash('sha256').update(own).digest()
    const record: TlsaRecord = { usage: 3, selector: 0, matchingType: 1, data }
    expect(judgeCertificates({ own, all: () => [own] }, [record], demand).outcome).toBe('match')
    const byKey = { ...record, selector: 1 }
    expect(judgeCertificates({ own, all: () => [own] }, [byKey], demand).outcome).toBe('fail')
  })
})
