/**
 * The facts of a certificate that a report shows.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto'
import type { CertificateFacts } from './findings.js'

export function certificateFacts(certificate: X509Certificate): CertificateFacts {
  const { subject, issuer, subjectAltName, validFrom, validTo } = certificate
  return {
    names: dnsNames(subjectAltName ?? ''),
    commonName: attribute(subject, 'CN'),
    issuer: attribute(issuer, 'CN') ?? attribute(issuer, 'O'),
    notBefore: isoTime(validFrom),
    notAfter: isoTime(validTo),
    rsaBits: rsaBitsOf(certificate),
  }
}

/** A key of a kind that Node cannot read has no length to show. */
function rsaBitsOf(certificate: X509Certificate): number | null {
  try {
    return certificate.publicKey.asymmetricKeyDetails?.modulusLength ?? null
  } catch {
    return null
  }
}

/** `DNS:a.example, DNS:"odd, name", IP Address:192.0.2.1`: Node quotes what could be misread. */
function dnsNames(subjectAltName: string): string[] {
  const entries = subjectAltName.matchAll(/(?:^|, )DNS:("(?:[^"\\]|\\.)*"|[^",]*)/g)
  return Array.from(entries, ([, name = '']) => unquoted(name))
}

function unquoted(name: string): string {
  if (!name.startsWith('"')) return name
  try {
    return String(JSON.parse(name))
  } catch {
    return name
  }
}

/** A line for each attribute: `CN=Example CA` */
function attribute(name: string | undefined, type: string): string | null {
  const line = (name ?? '').split('\n').find((one) => one.startsWith(`${type}=`))
  return line === undefined ? null : line.slice(type.length + 1)
}

function isoTime(text: string): string {
  const time = new Date(text)
  return Number.isNaN(time.getTime()) ? text : time.toISOString()
}
