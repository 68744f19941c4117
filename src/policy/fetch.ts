/**
 * One HTTPS GET of a policy file (RFC 8461 §3.3): port 443 of `mta-sts.` + Policy Domain, a
 * certificate for that name, status 200, `text/plain`, at most 64 KiB, nothing cached, nothing
 * followed, all of it before a deadline.
 *
 * @module
 */
import { type IncomingMessage, request } from 'node:http'
import type { BlockList, Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { lookupAddresses } from '../dns/addresses.js'
import type { Resolver } from '../dns/resolver.js'
import { MtaStsError, PolicySyntaxError } from '../errors.js'
import { type Connect, type ConnectTarget, connectFirst, discard } from '../net/connect.js'
import type { FailureReason, TlsFailure } from '../tls/failures.js'
import { type TrustedRoots, verifiedTls } from '../tls/options.js'
import { failedHandshake, isCertificateError } from '../tls/verdict.js'
import { MAX_POLICY_BYTES, type Policy, readPolicy } from './policy-file.js'

export interface FetchOptions {
  resolver: Resolver
  connect: Connect
  blockedAddresses: BlockList
  roots: TrustedRoots
  /** For the whole GET, from DNS to the last byte, in milliseconds */
  fetchTimeout: number
  /** For a DNS query, in milliseconds */
  dnsTimeout: number
  /** Ends a GET that is under way */
  signal?: AbortSignal | undefined
}

export type PolicyFetch =
  | { kind: 'fetched'; policy: Policy; body: string }
  | { kind: 'failed'; failure: TlsFailure }

const HTTPS_PORT = 443
const WELL_KNOWN_PATH = '/.well-known/mta-sts.txt'

/** Fetches and parses the policy of a Policy Domain (A-labels). Never rejects. */
export async function fetchPolicy(
  policyDomain: string,
  options: FetchOptions,
): Promise<PolicyFetch> {
  const host = `mta-sts.${policyDomain}`
  const end = performance.now() + options.fetchTimeout
  const found = await lookupAddresses(host, {
    ...options,
    dnsTimeout: Math.min(options.dnsTimeout, options.fetchTimeout),
  })
  if (found.problem) return failed('sts-policy-fetch-error', found.problem, found.cause)

  let targets: ConnectTarget[] = found.addresses.map((address) => ({
    purpose: 'policy',
    host,
    address,
    port: HTTPS_PORT,
  }))
  let last: PolicyFetch | undefined
  while (targets.length > 0 && !options.signal?.aborted) {
    const left = end - performance.now()
    if (left <= 0) break
    const deadline = new Deadline(left, options.signal)
    try {
      const { connect } = options
      const { signal } = deadline
      const connected = await connectFirst(targets, { connect, timeout: left, signal })
      targets = connected.remaining
      // Every address that is left gets its share of the time that is left (STS-14, STS-21)
      deadline.shorten((end - performance.now()) / (targets.length + 1))
      last = await getFrom(connected.socket, host, { roots: options.roots, signal })
    } catch (error) {
      // Not one of them can be connected to; what an earlier one answered says more
      const reason = deadline.signal.aborted ? 'timeout' : 'connection-failed'
      return last ?? failed('sts-policy-fetch-error', reason, error)
    } finally {
      deadline.clear()
    }
    if (last.kind === 'fetched') return last
  }
  return last ?? failed('sts-policy-fetch-error', 'timeout')
}

/** A signal that is aborted after some milliseconds, or with another one. */
class Deadline {
  readonly #controller = new AbortController()
  #timer: NodeJS.Timeout
  readonly #parent: AbortSignal | undefined
  readonly #abort = () =>
    this.#controller.abort(new MtaStsError('The deadline of the GET has passed', 'ETIMEDOUT'))

  constructor(milliseconds: number, parent: AbortSignal | undefined) {
    this.#timer = setTimeout(this.#abort, milliseconds)
    this.#parent = parent
    parent?.addEventListener('abort', this.#abort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  shorten(milliseconds: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#abort, milliseconds)
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#parent?.removeEventListener('abort', this.#abort)
  }
}

interface GetOptions {
  roots: TrustedRoots
  signal: AbortSignal
}

/** The GET over one TCP connection, which is closed afterwards. */
async function getFrom(socket: Socket, host: string, options: GetOptions): Promise<PolicyFetch> {
  const { signal } = options
  let secured: TLSSocket | undefined
  const abort = () => (secured ?? socket).destroy(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    secured = connectTls({
      socket,
      ...verifiedTls(host, options.roots),
      ALPNProtocols: ['http/1.1'],
    })
    await handshake(secured)
    const response = await get(secured, host)
    checkHead(response)
    return { kind: 'fetched', ...readPolicy(await readBody(response)) }
  } catch (error) {
    if (signal.aborted) return failed('sts-policy-fetch-error', 'timeout', error)
    return classify(error)
  } finally {
    signal.removeEventListener('abort', abort)
    discard(secured)
    discard(socket)
  }
}

function handshake(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('The connection was closed in the handshake')))
  })
}

function get(socket: TLSSocket, host: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      // Without an agent: nothing is kept, nothing is taken from the environment
      createConnection: () => socket,
      host,
      path: WELL_KNOWN_PATH,
      headers: {
        host,
        accept: 'text/plain',
        'accept-encoding': 'identity',
        'user-agent': 'mta-sts (RFC 8461)',
      },
    })
    outgoing.once('response', resolve)
    // Not once: a body that breaks off reports here too
    outgoing.on('error', reject)
    // Nor does a switch to another protocol come as a response
    outgoing.once('close', () => reject(new Error('The policy host sent no response')))
    outgoing.end()
  })
}

/** An answer that is none of the policy, with the word for it. */
class UnusableAnswer extends MtaStsError {
  readonly reason: FailureReason
  constructor(reason: FailureReason, message: string) {
    super(message, 'EPOLICYFETCH')
    this.reason = reason
  }
}

function checkHead(response: IncomingMessage): void {
  const { statusCode = 0, headers } = response
  if (statusCode !== 200) {
    throw new UnusableAnswer(`http-status-${statusCode}`, `The policy host answered ${statusCode}`)
  }
  const mediaType = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase()
  if (mediaType !== 'text/plain') {
    throw new UnusableAnswer('media-type', 'The policy is not of the media type text/plain')
  }
  const encoding = headers['content-encoding'] ?? 'identity'
  if (encoding.toLowerCase() !== 'identity') {
    throw new UnusableAnswer('content-encoding', 'The policy came in an encoding not asked for')
  }
  const { 'content-length': length, 'transfer-encoding': transfer } = headers
  if (length === undefined && transfer === undefined) {
    // It would end where the connection does, and anybody can end that (RFC 9112 §9.8)
    throw new UnusableAnswer('no-length', 'The policy came without a length: it may have been cut')
  }
  if (Number(length ?? 0) > MAX_POLICY_BYTES) throw tooLarge()
}

async function readBody(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    size += chunk.length
    if (size > MAX_POLICY_BYTES) throw tooLarge()
    chunks.push(chunk)
  }
  if (!response.complete) throw new UnusableAnswer('truncated', 'The policy broke off')
  return Buffer.concat(chunks)
}

function tooLarge(): UnusableAnswer {
  return new UnusableAnswer('too-large', `The policy is larger than ${MAX_POLICY_BYTES} bytes`)
}

function classify(error: unknown): PolicyFetch {
  if (error instanceof PolicySyntaxError) return failed('sts-policy-invalid', undefined, error)
  if (error instanceof UnusableAnswer) return failed('sts-policy-fetch-error', error.reason, error)
  if (isCertificateError(error)) {
    const { resultType, reason } = failedHandshake(error)
    return failed('sts-webpki-invalid', reason ?? (resultType as FailureReason), error)
  }
  return failed('sts-policy-fetch-error', 'connection-failed', error)
}

function failed(
  resultType: TlsFailure['resultType'],
  reason: FailureReason | undefined,
  cause?: unknown,
): PolicyFetch {
  return {
    kind: 'failed',
    failure: {
      resultType,
      ...(reason === undefined ? {} : { reason }),
      ...(cause === undefined ? {} : { cause }),
    },
  }
}
