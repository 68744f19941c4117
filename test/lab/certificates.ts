/**
 * The lab's own authority, and a certificate file for each host with TLS.
 *
 * @module
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CertificateAuthority, type CertificateSpec } from '../../src/testing/authority.js'
import type { Certificate } from './vocabulary.js'

interface Named {
  name: string
  ipv4: string
}

const STRANGER = 'somebody-else.example'

/** `CN` must be ignored by a name check. */
const SPECS: Record<Certificate, (host: Named) => CertificateSpec> = {
  good: ({ name }) => ({ san: [`DNS:${name}`] }),
  'wrong-name': () => ({ cn: STRANGER, san: [`DNS:${STRANGER}`] }),
  'cn-only': ({ name }) => ({ cn: name }),
  'cn-beside-other-san': ({ name }) => ({ cn: name, san: [`DNS:${STRANGER}`] }),
  'self-signed': ({ name }) => ({ cn: name, san: [`DNS:${name}`], signedBy: 'itself' }),
  'unknown-authority': ({ name }) => ({ san: [`DNS:${name}`], signedBy: 'stranger' }),
  'missing-intermediate': ({ name }) => ({ san: [`DNS:${name}`], chain: false }),
  expired: ({ name }) => ({ san: [`DNS:${name}`], validity: 'past' }),
  'not-yet-valid': ({ name }) => ({ san: [`DNS:${name}`], validity: 'future' }),
  'partial-wildcard': ({ name }) => ({
    san: [`DNS:${name.slice(0, 1)}*${name.slice(name.indexOf('.'))}`],
  }),
  wildcard: ({ name }) => ({ san: [`DNS:*.${parentOf(name)}`] }),
  'wildcard-two-deep': ({ name }) => ({ san: [`DNS:*.${parentOf(parentOf(name))}`] }),
  'ip-address': ({ ipv4 }) => ({ san: [`IP:${ipv4}`] }),
}

/** Returns the certificate data of a host. */
export function certificateSpec(host: Named, certificate: Certificate): CertificateSpec {
  return SPECS[certificate](host)
}

export class Certificates {
  /** The trusted root, as PEM */
  readonly rootFile: string
  readonly #directory: string
  readonly #authority: CertificateAuthority

  private constructor(directory: string, authority: CertificateAuthority) {
    this.#directory = directory
    this.#authority = authority
    this.rootFile = join(directory, 'root.pem')
  }

  static async create(directory: string): Promise<Certificates> {
    const authority = await CertificateAuthority.create()
    const certificates = new Certificates(directory, authority)
    await writeFile(certificates.rootFile, authority.root)
    return certificates
  }

  /** The file with the key, the certificate and its chain, in this order. */
  async file(host: Named, certificate: Certificate): Promise<string> {
    const { key, cert } = await this.#authority.issue(certificateSpec(host, certificate))
    const path = join(this.#directory, `${host.name}-${certificate}.pem`)
    // Servers read it before they drop root; it is not secret
    await writeFile(path, `${key.trim()}\n${cert}`)
    return path
  }
}

function parentOf(name: string): string {
  return name.slice(name.indexOf('.') + 1)
}
