/**
 * One HTTPS exchange over one TCP connection: TLS handshake, verdict, request, response.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto'
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { builtins } from '../builtins.js'
import { MtaStsError } from '../errors.js'
import { discard } from '../net/connect.js'
import { onAbort } from '../net/deadline.js'
import { errorOfThrown } from '../text.js'
import { type FailureReason, type TlsFailure, TlsFailureError } from '../tls/failures.js'
import { connectTls } from '../tls/handshake.js'
import { type TrustedRoots, tlsOptions, verifiedTls } from '../tls/options.js'
import type { Security } from '../tls/security.js'
import { failedHandshake, isCertificateError, judge } from '../tls/verdict.js'

/** A request to a host. */
export interface HttpsRequest {
  /** Passed to the `connect` hook */
  purpose: 'policy' | 'report'
  /** Host name in A-labels; the certificate must name it */
  host: string
  /** Default 443 */
  port?: number
  method: 'GET' | 'POST'
  /** Path and query */
  path: string
  /** Besides `host` and, for a POST, `content-length`, which are added */
  headers: Readonly<Record<string, string>>
  /** Body of a POST */
  body?: Uint8Array
  /** Bound of the response body, in bytes; a longer one is a failure (`too-large`) */
  maxBody: number
  /** Whether to read the body of a response with this status and these headers; default: always */
  wantsBody?: (status: number, headers: IncomingHttpHeaders) => boolean
}

/** The result of a TLS handshake. */
export interface TlsFacts {
  /** `TLSv1.3` */
  version: string | null
  /** OpenSSL's name of the cipher */
  cipher: string | null
  certificate: X509Certificate | undefined
}

/** The time at which each step was done, in milliseconds after the address was first contacted. */
export interface ExchangeTimes {
  connected?: number
  secured?: number
  answered?: number
  ended?: number
}

/** The reason why an exchange failed. */
export interface ExchangeFailure {
  reason: FailureReason
  /** The host did not prove its name; `reason` names the fault of its certificate */
  certificate: boolean
  cause: Error
}

/** The facts seen at one address; each field is omitted if the exchange ended earlier. */
export interface Seen {
  /** Omitted when the host has no address that can be contacted */
  address?: string
  tls?: TlsFacts
  status?: number
  headers?: IncomingHttpHeaders
  /** The response body, as far as it was read */
  body?: Buffer
  /** Whether the request was sent: a POST must not be repeated then */
  sent: boolean
  times: ExchangeTimes
}

/** The exchange with one address. */
export type HttpsExchange =
  | (Seen & { ok: true; status: number; headers: IncomingHttpHeaders; body: Buffer })
  | (Seen & { ok: false; failure: ExchangeFailure })

export const HTTPS_PORT = 443

/** Maximum number of informational responses (RFC 9110 §15.2) before the final one. */
const MAX_INTERIM_RESPONSES = 16

/** Bound of one response head, informational ones included, in bytes. */
const MAX_HEAD_BYTES = 16 * 1024

/** Bound of all bytes of a response: chunk sizes, their extensions and trailers have no other one. */
const MAX_RESPONSE_BYTES = 1024 * 1024

/** The host is judged as if it had to be authenticated. */
const AUDITED: Security = { level: 'opportunistic', audit: { by: 'sts' } }

export interface ConversationOptions {
  roots: TrustedRoots
  /** Completes the handshake with a host that fails verification, to show its certificate */
  inspect?: boolean
  signal: AbortSignal
}

/** A response that is refused, with the reason. */
class UnusableResponse extends MtaStsError {
  readonly reason: FailureReason
  constructor(reason: FailureReason, message: string) {
    super(message, 'EHTTPS')
    this.reason = reason
  }
}

/** The exchange over one TCP connection, which is closed afterwards. */
export class Conversation {
  readonly #begun: number
  readonly #seen: Seen
  /** Why this side has ended the connection */
  #refused: UnusableResponse | undefined

  constructor(address: string, begun: number) {
    this.#begun = begun
    this.#seen = { address, sent: false, times: {} }
  }

  /** Runs the exchange. Never rejects. */
  async hold(
    socket: Socket,
    request: HttpsRequest,
    options: ConversationOptions,
  ): Promise<HttpsExchange> {
    const { signal } = options
    this.#reached('connected')
    let secured: TLSSocket | undefined
    let release: (() => void) | undefined
    try {
      // It may have been aborted since the connection was made
      signal.throwIfAborted()
      release = onAbort(signal, () => (secured ?? socket).destroy(errorOfThrown(signal.reason)))
      secured = connectTls({ socket, ...handshakeOptions(request.host, options) })
      const response = await this.#ask(secured, request, options.inspect ?? false)
      const { statusCode: status = 0, headers } = response
      const body = await this.#read(response, request)
      // The refused bytes and the end of the response may come in one packet
      if (this.#refused) throw this.#refused
      this.#reached('ended')
      return { ...this.#seen, ok: true, status, headers, body }
    } catch (error) {
      return { ...this.#seen, ok: false, failure: failureOf(this.#refused ?? error, signal) }
    } finally {
      release?.()
      discard(secured)
      discard(socket)
    }
  }

  /** Throws unless the host of a finished handshake has proved its name. */
  #judge(socket: TLSSocket, host: string, inspect: boolean): void {
    this.#reached('secured')
    // Judged before the certificate is read: Node may return it only once
    const failure = judge(socket, host, AUDITED)
    if (inspect) this.#seen.tls = tlsFacts(socket)
    if (failure) throw new TlsFailureError(failure)
  }

  /**
   * Sends the request at the end of the handshake, in the same packet: it is prepared before, and
   * ended in the event itself, once the host has proved its name.
   */
  #ask(socket: TLSSocket, request: HttpsRequest, inspect: boolean): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      // Before the request's own listeners, which would name the error otherwise
      socket.once('error', reject)
      socket.once('close', () => {
        if (!this.#seen.sent) reject(new Error('The connection was closed in the handshake'))
      })
      const outgoing = prepare(socket, request)
      socket.once('secureConnect', () => {
        try {
          this.#judge(socket, request.host, inspect)
          this.#seen.sent = true
          outgoing.end(request.body)
          this.#bound(socket)
        } catch (error) {
          reject(error)
        }
      })
      let interim = 0
      outgoing.on('information', () => {
        interim++
        if (interim <= MAX_INTERIM_RESPONSES) return
        this.#refuse(socket, 'The host sent too many interim responses')
      })
      outgoing.once('response', (response) => {
        // From a host that was asked nothing, since it did not prove its name
        if (!this.#seen.sent) return
        this.#reached('answered')
        this.#seen.status = response.statusCode ?? 0
        this.#seen.headers = response.headers
        resolve(response)
      })
      // Not `once`: a truncated body also reports here
      outgoing.on('error', reject)
      // A switch to another protocol is not emitted as a response
      outgoing.once('close', () => reject(new Error('The host sent no response')))
    })
  }

  /** Called once the request reads from the socket: a listener makes the bytes flow. */
  #bound(socket: TLSSocket): void {
    let received = 0
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length
      if (received <= MAX_RESPONSE_BYTES) return
      this.#refuse(socket, `The response is longer than ${MAX_RESPONSE_BYTES} bytes`)
    })
  }

  #refuse(socket: TLSSocket, message: string): void {
    this.#refused ??= new UnusableResponse('too-large', message)
    socket.destroy(this.#refused)
  }

  async #read(response: IncomingMessage, request: HttpsRequest): Promise<Buffer> {
    const { maxBody, wantsBody } = request
    const { statusCode = 0, headers } = response
    const chunks: Buffer[] = []
    if (wantsBody && !wantsBody(statusCode, headers)) return Buffer.alloc(0)
    let size = 0
    try {
      for await (const chunk of response) {
        size += chunk.length
        if (size > maxBody) {
          throw new UnusableResponse('too-large', `The response is longer than ${maxBody} bytes`)
        }
        chunks.push(chunk)
      }
      if (!response.complete) throw new UnusableResponse('truncated', 'The response broke off')
      return Buffer.concat(chunks)
    } finally {
      this.#seen.body = Buffer.concat(chunks)
    }
  }

  #reached(step: keyof ExchangeTimes): void {
    this.#seen.times[step] = performance.now() - this.#begun
  }
}

function handshakeOptions(host: string, { roots, inspect }: ConversationOptions) {
  const tls = inspect ? tlsOptions(host, AUDITED, roots) : verifiedTls(host, roots)
  return { ...tls, ALPNProtocols: ['http/1.1'] }
}

/** Returns the request, of which nothing is sent before `end()`. */
function prepare(socket: TLSSocket, request: HttpsRequest): ClientRequest {
  const { host, port = HTTPS_PORT, method, path, body } = request
  return builtins.http.request({
    // No agent: no connection is kept, nothing is read from the environment
    createConnection: () => socket,
    method,
    host,
    path,
    headers: {
      host: port === HTTPS_PORT ? host : `${host}:${port}`,
      ...request.headers,
      ...(body === undefined ? {} : { 'content-length': body.byteLength }),
    },
    maxHeaderSize: MAX_HEAD_BYTES,
  })
}

function tlsFacts(socket: TLSSocket): TlsFacts {
  const { raw } = socket.getPeerCertificate()
  return {
    version: socket.getProtocol(),
    cipher: socket.getCipher()?.name ?? null,
    certificate: raw === undefined ? undefined : new builtins.crypto.X509Certificate(raw),
  }
}

function failureOf(thrown: unknown, signal: AbortSignal): ExchangeFailure {
  const cause = errorOfThrown(thrown)
  if (signal.aborted) return { reason: 'timeout', certificate: false, cause }
  if (cause instanceof UnusableResponse) return { reason: cause.reason, certificate: false, cause }
  if (cause instanceof TlsFailureError) return certificateFailure(cause.failure, cause)
  if (isCertificateError(cause)) return certificateFailure(failedHandshake(cause), cause)
  return { reason: 'connection-failed', certificate: false, cause }
}

function certificateFailure({ resultType, reason }: TlsFailure, cause: Error): ExchangeFailure {
  return { reason: reason ?? wordFor(resultType), certificate: true, cause }
}

/** Returns the reason for a certificate fault that has only a result type. */
function wordFor(resultType: TlsFailure['resultType']): FailureReason {
  switch (resultType) {
    case 'certificate-host-mismatch':
    case 'certificate-expired':
    case 'certificate-not-trusted':
      return resultType
    default:
      return 'handshake-failed'
  }
}
