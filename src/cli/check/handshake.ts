/**
 * A TLS handshake that is looked at, whatever it proves: the core's audited one, which goes to its
 * end and is judged afterwards. Nothing but QUIT, or the GET of a policy by one who has proved to be
 * the policy host, is ever said behind it.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import { MtaStsError } from '../../errors.js'
import type { TlsFailure } from '../../tls/failures.js'
import type { Security } from '../../tls/security.js'
import type { CertificateFacts } from './findings.js'

/** Judged as if it had to be authenticated, and not ended where it is not. */
export const AUDITED: Security = { level: 'opportunistic', audit: { by: 'sts' } }

export interface Audit {
  /** The core's options for an {@link AUDITED} connection */
  tls: ConnectionOptions
  /** The core's verdict */
  verify: (socket: TLSSocket) => TlsFailure | undefined
}

export interface Handshake {
  socket: TLSSocket
  version: string | null
  cipher: string | null
  certificate: CertificateFacts | null
  /** undefined: it proves what a policy asks for */
  failure: TlsFailure | undefined
}

/** @throws the error of a handshake that does not come to its end; the socket is destroyed */
export async function shakeHands(
  socket: Socket,
  { tls, verify }: Audit,
  signal: AbortSignal,
): Promise<Handshake> {
  const secured = connectTls({ ...tls, socket })
  // From the first to the last: errors may come in pairs, and after there is nobody who waits
  secured.on('error', () => undefined)
  const abort = () => secured.destroy(errorOf(signal))
  signal.addEventListener('abort', abort, { once: true })
  try {
    await settled(secured)
  } catch (error) {
    secured.destroy()
    throw signal.aborted ? errorOf(signal) : error
  } finally {
    signal.removeEventListener('abort', abort)
  }
  return {
    socket: secured,
    version: secured.getProtocol(),
    cipher: secured.getCipher()?.name ?? null,
    certificate: certificateOf(secured),
    failure: verify(secured),
  }
}

function settled(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = () => onError(new Error('the connection was closed'))
    const onError = (error: Error) => {
      socket.off('error', onError).off('close', onClose)
      reject(error)
    }
    socket.once('error', onError).once('close', onClose)
    socket.once('secureConnect', () => {
      socket.off('error', onError).off('close', onClose)
      resolve()
    })
  })
}

function errorOf({ reason }: AbortSignal): Error {
  return reason instanceof Error ? reason : new Error('given up')
}

function certificateOf(socket: TLSSocket): CertificateFacts | null {
  const { raw } = socket.getPeerCertificate()
  return raw === undefined ? null : certificateFacts(new X509Certificate(raw))
}

export function certificateFacts(certificate: X509Certificate): CertificateFacts {
  const { subject, issuer, subjectAltName, validFrom, validTo } = certificate
  return {
    names: dnsNames(subjectAltName ?? ''),
    commonName: attribute(subject, 'CN'),
    issuer: attribute(issuer, 'CN') ?? attribute(issuer, 'O'),
    notBefore: isoTime(validFrom),
    notAfter: isoTime(validTo),
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

/**
 * Runs work that ends on time: the signal is aborted after `milliseconds`, and the work is to give
 * up then.
 */
export async function within<T>(
  milliseconds: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController()
  const late = () =>
    deadline.abort(new MtaStsError(`no answer within ${milliseconds} ms`, 'ETIMEDOUT'))
  const timer = setTimeout(late, milliseconds)
  try {
    return await work(deadline.signal)
  } finally {
    clearTimeout(timer)
  }
}
