/**
 * The certificate authority of a mail world: a root that senders are told to trust, an intermediate
 * that signs, and every way in which a certificate can be wrong.
 *
 * @module
 */
import { KeyObject, webcrypto } from 'node:crypto'
import type { X509 } from './optional-packages.js'

/** What a certificate says. What is left out is as it should be. */
export interface CertificateSpec {
  /** The common name of the subject, which names no host (RFC 6125 §6.4.4); default: none */
  cn?: string
  /** `DNS:mx.example.com`, `DNS:*.example.com`, `IP:192.0.2.1`; an empty list: no such extension */
  san?: readonly string[]
  /** Counted from real time, which is what OpenSSL goes by; default `current` */
  validity?: 'current' | 'past' | 'future'
  /** `stranger`: an authority that nobody trusts; default `intermediate` */
  signedBy?: 'intermediate' | 'itself' | 'stranger'
  /** Whether the server sends the intermediate with it; default true */
  chain?: boolean
}

/** What a TLS server needs, in PEM. */
export interface Credentials {
  key: string
  /** The certificate, and what is sent along with it */
  cert: string
}

interface Issuer {
  keys: webcrypto.CryptoKeyPair
  name: string
  pem: string
}

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY = 86_400_000

/** From and to, in days from now. */
const VALIDITY = { current: [-1, 30], past: [-30, -1], future: [1, 30] } as const

export class CertificateAuthority {
  /** The trusted root, PEM. */
  readonly root: string
  readonly #x509: X509
  readonly #rootIssuer: Issuer
  #intermediate: Promise<Issuer> | undefined
  #stranger: Promise<Issuer> | undefined
  readonly #issued = new Map<string, Promise<Credentials>>()

  private constructor(x509: X509, root: Issuer) {
    this.#x509 = x509
    this.#rootIssuer = root
    this.root = root.pem
  }

  /** Only the root is made here; everything else when it is first needed. */
  static async create(x509: X509): Promise<CertificateAuthority> {
    return new CertificateAuthority(x509, await makeRoot(x509, 'Mail World Root'))
  }

  /** The same spec brings the same certificate. */
  issue(spec: CertificateSpec): Promise<Credentials> {
    const id = JSON.stringify(spec, Object.keys(spec).sort())
    let credentials = this.#issued.get(id)
    if (credentials === undefined) {
      credentials = this.#make(spec)
      this.#issued.set(id, credentials)
    }
    return credentials
  }

  async #make(spec: CertificateSpec): Promise<Credentials> {
    const x509 = this.#x509
    const keys = await makeKeys()
    const subject = spec.cn === undefined ? '' : `CN=${spec.cn}`
    const issuer = await this.#issuer(spec, { keys, name: subject, pem: '' })
    const [from, to] = VALIDITY[spec.validity ?? 'current']
    const san = spec.san ?? []
    const certificate = await x509.X509CertificateGenerator.create(
      {
        subject,
        issuer: issuer.name,
        notBefore: new Date(Date.now() + from * DAY),
        notAfter: new Date(Date.now() + to * DAY),
        publicKey: keys.publicKey,
        signingKey: issuer.keys.privateKey,
        signingAlgorithm: EC,
        extensions: [
          new x509.BasicConstraintsExtension(false),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
          ...(san.length === 0
            ? []
            : [new x509.SubjectAlternativeNameExtension(san.map(generalName), subject === '')]),
        ],
      },
      webcrypto,
    )
    const sent = spec.chain === false ? '' : issuer.pem
    return {
      key: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString(),
      cert: [certificate.toString('pem'), sent].filter(Boolean).join('\n'),
    }
  }

  #issuer(spec: CertificateSpec, itself: Issuer): Issuer | Promise<Issuer> {
    if (spec.signedBy === 'itself') return itself
    if (spec.signedBy === 'stranger') {
      this.#stranger ??= makeRoot(this.#x509, 'Unknown Root')
      return this.#stranger
    }
    this.#intermediate ??= makeAuthority(this.#x509, 'Mail World Intermediate', this.#rootIssuer)
    return this.#intermediate
  }
}

async function makeRoot(x509: X509, cn: string): Promise<Issuer> {
  return makeAuthority(x509, cn, undefined)
}

/** A certificate authority, signed by `parent`, or by itself where there is none. */
async function makeAuthority(x509: X509, cn: string, parent: Issuer | undefined): Promise<Issuer> {
  const keys = await makeKeys()
  const name = `CN=${cn}`
  const signer = parent ?? { keys, name }
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: name,
      issuer: signer.name,
      notBefore: new Date(Date.now() - DAY),
      notAfter: new Date(Date.now() + 30 * DAY),
      publicKey: keys.publicKey,
      signingKey: signer.keys.privateKey,
      signingAlgorithm: EC,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      ],
    },
    webcrypto,
  )
  return { keys, name, pem: certificate.toString('pem') }
}

async function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(EC, true, ['sign', 'verify'])
}

function generalName(san: string): { type: 'dns' | 'ip'; value: string } {
  const [, kind, value] = /^(DNS|IP):(.+)$/.exec(san) ?? []
  if (kind === undefined || value === undefined) {
    throw new TypeError(`san takes 'DNS:name' and 'IP:address', not ${JSON.stringify(san)}`)
  }
  return { type: kind === 'DNS' ? 'dns' : 'ip', value }
}
