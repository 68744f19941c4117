/**
 * One verified HTTPS exchange: a GET or a POST to a host that proves its name, over a connection of
 * its own, before a deadline. It returns what it saw at each address. No redirect is followed, no
 * agent, cookie, proxy or cache of the environment is used, and no TLS session is resumed.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto'
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import type { BlockList, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { lookupAddresses } from '../dns/addresses.js'
import type { Resolver } from '../dns/resolver.js'
import { MtaStsError } from '../errors.js'
import { type Connect, type ConnectTarget, connectFirst, discard } from '../net/connect.js'
import { Deadline, onAbort } from '../net/deadline.js'
import { errorOfThrown } from '../text.js'
import { type FailureReason, type TlsFailure, TlsFailureError } from '../tls/failures.js'
import { connectTls } from '../tls/handshake.js'
import { type TrustedRoots, tlsOptions, verifiedTls } from '../tls/options.js'
import type { Security } from '../tls/security.js'
import { failedHandshake, isCertificateError, judge } from '../tls/verdict.js'

/** What is asked of a host. */
export interface HttpsRequest {
  /** Told to the `connect` hook */
  purpose: 'policy' | 'report'
  /** Host name in A-labels, which the certificate must name */
  host: string
  /** Default 443 */
  port?: number
  method: 'GET' | 'POST'
  /** Path and query */
  path: string
  /** `host` and, for a POST, `content-length` are added */
  headers: Readonly<Record<string, string>>
  /** Sent with a POST */
  body?: Uint8Array
  /** A longer response body is a failure (`too-large`), in bytes */
  maxBody: number
  /** Whether a response of this status and these headers is read to its end; default: always */
  wantsBody?: (status: number, headers: IncomingHttpHeaders) => boolean
}

export interface ExchangeOptions {
  resolver: Resolver
  connect: Connect
  blockedAddresses: BlockList
  roots: TrustedRoots
  /** For a DNS query, in milliseconds */
  dnsTimeout: number
  /** For the whole exchange, from DNS to the last byte, in milliseconds */
  timeout: number
  /** Aborts an exchange that is under way */
  signal?: AbortSignal | undefined
  /**
   * Completes the handshake with a host that fails verification as well, so that its certificate
   * can be shown. The request is sent to a verified host only, as always.
   */
  inspect?: boolean
}

/** What a TLS handshake showed. */
export interface TlsFacts {
  /** `TLSv1.3` */
  version: string | null
  /** OpenSSL's name of the cipher */
  cipher: string | null
  certificate: X509Certificate | undefined
}

/** When each step was done, in milliseconds after the address was first contacted. */
export interface ExchangeTimes {
  connected?: number
  secured?: number
  answered?: number
  ended?: number
}

/** Why an exchange failed. */
export interface ExchangeFailure {
  reason: FailureReason
  /** The host did not prove its name; `reason` says what is wrong with its certificate */
  certificate: boolean
  cause: Error
}

/** What was seen at one address; each field is left out when the exchange did not get that far. */
export interface Seen {
  /** Left out when the host has no address that can be contacted */
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

const HTTPS_PORT = 443

/** More informational responses (RFC 9110 §15.2) in front of the final one are a flood. */
const MAX_INTERIM_RESPONSES = 16

/** Bound of one response head, informational ones included, in bytes. */
const MAX_HEAD_BYTES = 16 * 1024

/** Judged as if it had to be authenticated. */
const AUDITED: Security = { level: 'opportunistic', audit: { by: 'sts' } }

/**
 * Yields the exchange with one address of the host after the other, until the caller has enough,
 * each address was tried, or the time is over. It yields once at least. An address that cannot be
 * connected to is yielded only when none of them can: what another one answered says more.
 *
 * ```ts
 * for await (const seen of exchanges(request, options)) if (seen.ok) return seen.body
 * ```
 */
export async function* exchanges(
  request: HttpsRequest,
  options: ExchangeOptions,
): AsyncGenerator<HttpsExchange, void, undefined> {
  const deadline = deadlineOf(request, options.timeout, options.signal)
  try {
    const found = await lookupAddresses(request.host, {
      ...options,
      dnsTimeout: Math.min(options.dnsTimeout, options.timeout),
    })
    if (found.problem) {
      yield failedExchange(found.problem, found.cause ?? new Error(found.problem))
      return
    }
    let targets = found.addresses.map((address) => targetOf(request, address))
    for (let first = true; targets.length > 0; first = false) {
      const next = await exchangeWithFirst(targets, request, { ...options, deadline })
      if (!first && !next.connected) return
      yield next.exchange
      if (deadline.signal.aborted) return
      targets = next.remaining
    }
  } finally {
    deadline.clear()
  }
}

/** Exchanges with one address of the host, which is the caller's choice. Never rejects. */
export async function exchangeAt(
  address: string,
  request: HttpsRequest,
  options: ExchangeOptions,
): Promise<HttpsExchange> {
  const deadline = deadlineOf(request, options.timeout, options.signal)
  try {
    const targets = [targetOf(request, address)]
    const { exchange } = await exchangeWithFirst(targets, request, { ...options, deadline })
    return { ...exchange, address }
  } finally {
    deadline.clear()
  }
}

function deadlineOf(
  { method, host }: HttpsRequest,
  milliseconds: number,
  parent: AbortSignal | undefined,
): Deadline {
  return new Deadline(milliseconds, `the ${method} to ${host}`, parent)
}

function targetOf(
  { purpose, host, port = HTTPS_PORT }: HttpsRequest,
  address: string,
): ConnectTarget {
  return { purpose, host, address, port }
}

interface Bounded extends ExchangeOptions {
  deadline: Deadline
}

interface Next {
  exchange: HttpsExchange
  connected: boolean
  /** Addresses that are worth another exchange */
  remaining: ConnectTarget[]
}

/** Exchanges with the first of the addresses that a TCP connection can be made to. */
async function exchangeWithFirst(
  targets: readonly ConnectTarget[],
  request: HttpsRequest,
  options: Bounded,
): Promise<Next> {
  const { connect, deadline } = options
  const begun = performance.now()
  try {
    const { signal, left } = deadline
    const { socket, target, remaining } = await connectFirst(targets, {
      connect,
      timeout: left,
      signal,
    })
    // Each address that is left gets its share of the time that is left
    const turn = deadlineOf(request, deadline.left / (remaining.length + 1), signal)
    try {
      const conversation = new Conversation(target.address, begun)
      const exchange = await conversation.hold(socket, request, { ...options, signal: turn.signal })
      return { exchange, connected: true, remaining }
    } finally {
      turn.clear()
    }
  } catch (error) {
    const reason = deadline.signal.aborted ? 'timeout' : 'connection-failed'
    return { exchange: failedExchange(reason, error), connected: false, remaining: [] }
  }
}

function failedExchange(reason: FailureReason, cause: unknown): HttpsExchange {
  const failure = { reason, certificate: false, cause: errorOfThrown(cause) }
  return { ok: false, sent: false, times: {}, failure }
}

/** A response that is refused, with the word for it. */
class UnusableResponse extends MtaStsError {
  readonly reason: FailureReason
  constructor(reason: FailureReason, message: string) {
    super(message, 'EHTTPS')
    this.reason = reason
  }
}

/** The exchange over one TCP connection, which is closed afterwards. */
class Conversation {
  readonly #begun: number
  readonly #seen: Seen

  constructor(address: string, begun: number) {
    this.#begun = begun
    this.#seen = { address, sent: false, times: {} }
  }

  /** Never rejects. */
  async hold(
    socket: Socket,
    request: HttpsRequest,
    options: ExchangeOptions & { signal: AbortSignal },
  ): Promise<HttpsExchange> {
    const { signal } = options
    this.#reached('connected')
    let secured: TLSSocket | undefined
    const release = onAbort(signal, () => (secured ?? socket).destroy(errorOfThrown(signal.reason)))
    try {
      secured = connectTls({ socket, ...handshakeOptions(request.host, options) })
      await this.#handshake(secured, request.host, options.inspect ?? false)
      const response = await this.#ask(secured, request)
      const { statusCode: status = 0, headers } = response
      const body = await this.#read(response, request)
      this.#reached('ended')
      return { ...this.#seen, ok: true, status, headers, body }
    } catch (error) {
      return { ...this.#seen, ok: false, failure: failureOf(error, signal) }
    } finally {
      release()
      discard(secured)
      discard(socket)
    }
  }

  async #handshake(socket: TLSSocket, host: string, inspect: boolean): Promise<void> {
    await secureConnected(socket)
    this.#reached('secured')
    // The verdict comes before any look at the certificate, which Node can give away only once
    const failure = judge(socket, host, AUDITED)
    if (inspect) this.#seen.tls = tlsFacts(socket)
    if (failure) throw new TlsFailureError(failure)
  }

  #ask(socket: TLSSocket, request: HttpsRequest): Promise<IncomingMessage> {
    const { host, port = HTTPS_PORT, method, path, body } = request
    return new Promise((resolve, reject) => {
      const outgoing = httpRequest({
        // Without an agent: nothing is kept, nothing is taken from the environment
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
      let interim = 0
      outgoing.on('information', () => {
        interim++
        if (interim <= MAX_INTERIM_RESPONSES) return
        socket.destroy()
        reject(new UnusableResponse('too-large', 'The host sent too many interim responses'))
      })
      outgoing.once('response', (response) => {
        this.#reached('answered')
        this.#seen.status = response.statusCode ?? 0
        this.#seen.headers = response.headers
        resolve(response)
      })
      // Not once: a body that breaks off reports here too
      outgoing.on('error', reject)
      // A switch to another protocol does not come as a response
      outgoing.once('close', () => reject(new Error('The host sent no response')))
      this.#seen.sent = true
      outgoing.end(body)
    })
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

function handshakeOptions(host: string, { roots, inspect }: ExchangeOptions) {
  const tls = inspect ? tlsOptions(host, AUDITED, roots) : verifiedTls(host, roots)
  return { ...tls, ALPNProtocols: ['http/1.1'] }
}

function secureConnected(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('The connection was closed in the handshake')))
  })
}

function tlsFacts(socket: TLSSocket): TlsFacts {
  const { raw } = socket.getPeerCertificate()
  return {
    version: socket.getProtocol(),
    cipher: socket.getCipher()?.name ?? null,
    certificate: raw === undefined ? undefined : new X509Certificate(raw),
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

/** The kind of a certificate fault that has no reason beside its result type. */
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
