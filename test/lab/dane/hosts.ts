/**
 * The MX hosts of the DANE part: a server for each behaviour, shared by many domains.
 *
 * @module
 */
import { createHash, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Certificates } from '../certificates.js'
import { mxAddress } from '../network.js'
import type { PlacedHost } from '../placement.js'
import { exim, type MxHost, postfix } from '../vocabulary.js'

/** Certificates without a public authority, unless the name says otherwise. */
const HOSTS = {
  postfix: postfix('postfix', { certificate: 'unknown-authority' }),
  exim: exim('exim', { certificate: 'unknown-authority' }),
  expired: postfix('expired', { certificate: 'expired' }),
  wrongName: exim('wrong-name', { certificate: 'wrong-name' }),
  selfSigned: exim('self-signed', { certificate: 'self-signed' }),
  chain: postfix('chain'),
  /** Its root is trusted by the sender, and not sent, as by every server */
  rootless: postfix('rootless'),
  chainWrongName: postfix('chain-wrong-name', { certificate: 'wrong-name' }),
  leafOnly: exim('leaf-only', { certificate: 'missing-intermediate' }),
  plaintext: postfix('plaintext', { tls: 'none' }),
  broken: exim('broken', { tls: 'answered-454' }),
  bySni: postfix('by-sni', { tls: 'by-sni' }),
} as const satisfies Record<string, MxHost>

export type HostId = keyof typeof HOSTS

export const hostIds = Object.keys(HOSTS) as HostId[]

/** The zone in which the servers have their names. */
export const HOST_ZONE = 'signed.lab'

/** An MX host with its address, and the material of its TLSA records. */
export interface DaneHost extends PlacedHost {
  id: HostId
  /** Its certificate, the one that signed it, and the root of the lab */
  certificates: { own: X509Certificate; intermediate: X509Certificate; root: X509Certificate }
}

export async function placeHosts(certificates: Certificates): Promise<DaneHost[]> {
  const root = new X509Certificate(await readFile(certificates.rootFile))
  return Promise.all(
    hostIds.map(async (id, index) => {
      const host = HOSTS[id]
      const { ipv4 } = mxAddress(index + 1)
      const name = `${host.label}.${HOST_ZONE}`
      const file = await certificates.file({ name, ipv4 }, host.certificate)
      const [own, intermediate] = pemBlocks(await readFile(file, 'utf8'))
      if (own === undefined) throw new Error(`${file} holds no certificate`)
      return {
        ...host,
        id,
        name,
        ipv4: [ipv4],
        ipv6: [],
        listen: [ipv4],
        certificates: { own, intermediate: intermediate ?? own, root },
      }
    }),
  )
}

function pemBlocks(text: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return blocks.map((block) => new X509Certificate(block))
}

/** The data of a TLSA record in the form of a zone file: `3 1 1 0123...` */
export function tlsaData(fields: string, certificate: X509Certificate): string {
  const [, selector, matchingType] = fields.split(' ')
  const selected =
    selector === '0'
      ? certificate.raw
      : certificate.publicKey.export({ type: 'spki', format: 'der' })
  const digest = { 1: 'sha256', 2: 'sha512' }[matchingType ?? '']
  const data = digest === undefined ? selected : createHash(digest).update(selected).digest()
  // A string in a zone file may have any length, but a line may not
  return `${fields} ${data.toString('hex').replace(/.{200}/g, '$& ')}`
}
