/**
 * The certificate authority of a mail world: a root that senders trust, an intermediate that signs,
 * and faulty certificates.
 *
 * @module
 */
import {
  createHash,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto'
import { isIP } from 'node:net'
import {
  bitString,
  booleanTrue,
  integer,
  objectIdentifier,
  octetString,
  pem,
  sequence,
  setOf,
  tagged,
  utcTime,
  utf8String,
} from './der.js'
import { checkFields, isFilledText, isFlag, listOf, oneOf, shown } from './named.js'
import { timers } from './timers.js'

/** Contents of a certificate. Default of each field: that of the good certificate. */
export interface CertificateSpec {
  /** Common name of the subject, which names no host (RFC 6125 §6.4.4); default: none */
  cn?: string
  /**
   * `DNS:mx.example.com`, `DNS:*.example.com`, `IP:192.0.2.1`; an empty list: no such extension.
   * Default: the name of the host; with a `cn`, an empty list
   */
  san?: readonly string[]
  /** In real time, which OpenSSL uses; default `current` */
  validity?: 'current' | 'past' | 'future'
  /** `stranger`: an authority that is not trusted; default `intermediate` */
  signedBy?: 'intermediate' | 'itself' | 'stranger'
  /** Whether the server sends the intermediate with it; default true */
  chain?: boolean
  /**
   * Name of a key: hosts with the same name share it. Default `world`
   */
  key?: string
}

/** Key and certificates of a TLS server, PEM. */
export interface Credentials {
  key: string
  /** The certificate and the rest of its chain */
  cert: string
}

interface Keys {
  privateKey: KeyObject
  publicKey: Buffer
  pem: string
  /** RFC 5280 §4.2.1.2, the first method; of the whole key, which serves as well */
  id: Buffer
}

interface Issuer {
  keys: Keys
  name: Buffer
  pem: string
}

const DAY = 86_400_000

/** From and to, in days from now. */
const VALIDITY = { current: [-1, 30], past: [-30, -1], future: [1, 30] } as const

const SPEC = {
  cn: isFilledText,
  san: listOf((_field, entry) => generalName(entry), "['DNS:mx.example.com']"),
  validity: oneOf(['current', 'past', 'future']),
  signedBy: oneOf(['intermediate', 'itself', 'stranger']),
  chain: isFlag,
  key: isFilledText,
}

/** Throws a TypeError for a wrong spec of a certificate. */
export function checkCertificateSpec(spec: CertificateSpec): void {
  checkFields('certificate()', spec, SPEC)
}

export class CertificateAuthority {
  /** The trusted root, PEM. */
  readonly root: string
  readonly #rootIssuer: Issuer
  #intermediate: Issuer | undefined
  #stranger: Issuer | undefined
  readonly #keys = new Map<string, Keys>()
  readonly #issued = new Map<string, Credentials>()

  private constructor(root: Issuer) {
    this.#rootIssuer = root
    this.root = root.pem
  }

  /** Makes the root; the rest is made when it is needed. */
  static async create(): Promise<CertificateAuthority> {
    return new CertificateAuthority(makeAuthority('Mail World Root', undefined))
  }

  /** Returns the certificate of a spec; the same one for the same spec. */
  async issue(spec: CertificateSpec): Promise<Credentials> {
    return this.credentials(spec)
  }

  credentials(spec: CertificateSpec): Credentials {
    const id = JSON.stringify(spec, Object.keys(spec).sort())
    let credentials = this.#issued.get(id)
    if (credentials === undefined) {
      credentials = this.#make(spec)
      this.#issued.set(id, credentials)
    }
    return credentials
  }

  #make(spec: CertificateSpec): Credentials {
    const keys = this.#keysOf(spec.key ?? 'world')
    const subject = distinguishedName(spec.cn)
    const issuer = this.#issuer(spec, { keys, name: subject, pem: '' })
    const [from, to] = VALIDITY[spec.validity ?? 'current']
    const san = spec.san ?? []
    const certificate = makeCertificate({
      subject,
      issuer,
      keys,
      days: [from, to],
      extensions: [
        extension(BASIC_CONSTRAINTS, sequence()),
        extension(KEY_USAGE, bitString(Buffer.from([0x80]), 7), true),
        extension(EXTENDED_KEY_USAGE, sequence(objectIdentifier(SERVER_AUTH))),
        ...(san.length === 0
          ? []
          : [extension(ALT_NAME, sequence(...san.map(generalName)), spec.cn === undefined)]),
      ],
    })
    const sent = spec.chain === false ? '' : issuer.pem
    return { key: keys.pem, cert: [certificate, sent].filter(Boolean).join('\n') }
  }

  #keysOf(name: string): Keys {
    const keys = this.#keys.get(name) ?? makeKeys()
    this.#keys.set(name, keys)
    return keys
  }

  #issuer(spec: CertificateSpec, itself: Issuer): Issuer {
    if (spec.signedBy === 'itself') return itself
    if (spec.signedBy === 'stranger') {
      this.#stranger ??= makeAuthority('Unknown Root', undefined)
      return this.#stranger
    }
    this.#intermediate ??= makeAuthority('Mail World Intermediate', this.#rootIssuer)
    return this.#intermediate
  }
}

/** Returns the first certificate of some credentials. */
export function certificateOf({ cert }: Credentials): X509Certificate {
  return new X509Certificate(cert)
}

const ECDSA_SHA256 = sequence(objectIdentifier('1.2.840.10045.4.3.2'))
const COMMON_NAME = '2.5.4.3'
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const SUBJECT_KEY = '2.5.29.14'
const KEY_USAGE = '2.5.29.15'
const ALT_NAME = '2.5.29.17'
const BASIC_CONSTRAINTS = '2.5.29.19'
const AUTHORITY_KEY = '2.5.29.35'
const EXTENDED_KEY_USAGE = '2.5.29.37'
const VERSION_3 = tagged(0, true, integer(Buffer.from([2])))

interface Contents {
  subject: Buffer
  issuer: Pick<Issuer, 'keys' | 'name'>
  keys: Keys
  days: readonly [from: number, to: number]
  extensions: readonly Buffer[]
}

/** Returns a certificate (RFC 5280 §4.1), signed, as PEM. */
function makeCertificate({ subject, issuer, keys, days, extensions }: Contents): string {
  const [notBefore, notAfter] = days.map((day) => timers.date(timers.now() + day * DAY))
  if (notBefore === undefined || notAfter === undefined)
    throw new RangeError('A certificate needs two dates')
  const serial = randomBytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  const contents = sequence(
    VERSION_3,
    integer(serial),
    ECDSA_SHA256,
    issuer.name,
    sequence(utcTime(notBefore), utcTime(notAfter)),
    subject,
    keys.publicKey,
    tagged(
      3,
      true,
      sequence(
        ...extensions,
        // RFC 5280 §4.2.1.1: strict verifiers, Python's among them, go by the two identifiers
        extension(SUBJECT_KEY, octetString(keys.id)),
        extension(AUTHORITY_KEY, sequence(tagged(0, false, issuer.keys.id))),
      ),
    ),
  )
  const signature = sign('sha256', contents, issuer.keys.privateKey)
  return pem('CERTIFICATE', sequence(contents, ECDSA_SHA256, bitString(signature)))
}

/** Returns a certificate authority, signed by `parent`, or by itself. */
function makeAuthority(cn: string, parent: Issuer | undefined): Issuer {
  const keys = makeKeys()
  const name = distinguishedName(cn)
  const certificate = makeCertificate({
    subject: name,
    issuer: parent ?? { keys, name },
    keys,
    days: [-1, 30],
    extensions: [
      extension(BASIC_CONSTRAINTS, sequence(booleanTrue()), true),
      extension(KEY_USAGE, bitString(Buffer.from([0x04]), 2), true),
    ],
  })
  return { keys, name, pem: certificate }
}

function makeKeys(): Keys {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const bytes = publicKey.export({ type: 'spki', format: 'der' })
  return {
    privateKey,
    publicKey: bytes,
    id: createHash('sha1').update(bytes).digest(),
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

function distinguishedName(cn: string | undefined): Buffer {
  if (cn === undefined) return sequence()
  return sequence(setOf(sequence(objectIdentifier(COMMON_NAME), utf8String(cn))))
}

function extension(id: string, value: Uint8Array, critical = false): Buffer {
  return sequence(objectIdentifier(id), ...(critical ? [booleanTrue()] : []), octetString(value))
}

/** RFC 5280 §4.2.1.6: dNSName is 2, iPAddress is 7. */
function generalName(san: unknown): Buffer {
  const [, kind, value = ''] =
    (typeof san === 'string' && /^(DNS|IP):([!-+\--~]+)$/.exec(san)) || []
  if (kind === 'DNS') return tagged(2, false, Buffer.from(value, 'latin1'))
  if (kind === 'IP' && isIP(value) > 0) return tagged(7, false, addressBytes(value))
  throw new TypeError(
    `certificate(): san takes 'DNS:name' and 'IP:address', but it has ${shown(san)}`,
  )
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number))
  const plain = new URL(`http://[${address}]/`).hostname.slice(1, -1)
  const [head = '', tail] = plain.split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const [before, after] = [groups(head), groups(tail ?? '')]
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  const all = [...before, ...(tail === undefined ? [] : zeros), ...after]
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex')
}
