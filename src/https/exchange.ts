/**
 * Verified HTTPS exchanges: a GET or a POST to a host that proves its name, over its own
 * connection, within a deadline. Results tell what was seen at each address. No redirect is
 * followed, no agent, cookie, proxy or cache of the environment is used, and no TLS session is
 * resumed.
 *
 * @module
 */
import type { BlockList } from 'node:net'
import { lookupAddresses } from '../dns/addresses.js'
import type { Resolver } from '../dns/resolver.js'
import { type Connect, type ConnectTarget, connectFirst } from '../net/connect.js'
import { Deadline } from '../net/deadline.js'
import { errorOfThrown } from '../text.js'
import type { FailureReason } from '../tls/failures.js'
import type { TrustedRoots } from '../tls/options.js'
import { Conversation, HTTPS_PORT, type HttpsExchange, type HttpsRequest } from './conversation.js'

export type { HttpsExchange, HttpsRequest }

export interface ExchangeOptions {
  resolver: Resolver
  connect: Connect
  blockedAddresses: BlockList
  roots: TrustedRoots
  /** Limit of a DNS query, in milliseconds */
  dnsTimeout: number
  /** Limit of the whole exchange, from DNS to the last byte, in milliseconds */
  timeout: number
  /** Aborts a running exchange */
  signal?: AbortSignal | undefined
  /**
   * Completes the handshake even with a host that fails verification, to show its certificate. The
   * request is sent to a verified host only, as always.
   */
  inspect?: boolean
}

/**
 * Yields the exchange with each address of the host in turn, until the caller stops, all addresses
 * are tried, or the time is over. Yields at least once. An address that cannot be connected to is
 * yielded only if none can: the answer of another one says more.
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
      resolver: options.resolver,
      dnsTimeout: Math.min(options.dnsTimeout, options.timeout),
      blockedAddresses: options.blockedAddresses,
    })
    if (found.problem) {
      yield failedExchange(found.problem, found.cause ?? new Error(found.problem))
      return
    }
    let targets = found.addresses.map((address) => targetOf(request, address))
    for (let first = true; targets.length > 0; first = false) {
      const next = await exchangeWithFirst(targets, request, { options, deadline })
      if (!first && !next.connected) return
      yield next.exchange
      if (deadline.signal.aborted) return
      targets = next.remaining
    }
  } finally {
    deadline.clear()
  }
}

/** Exchanges with one address of the host that the caller chooses. Never rejects. */
export async function exchangeAt(
  address: string,
  request: HttpsRequest,
  options: ExchangeOptions,
): Promise<HttpsExchange> {
  const deadline = deadlineOf(request, options.timeout, options.signal)
  try {
    const targets = [targetOf(request, address)]
    const { exchange } = await exchangeWithFirst(targets, request, { options, deadline })
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

interface Bounded {
  options: ExchangeOptions
  deadline: Deadline
}

interface Next {
  exchange: HttpsExchange
  connected: boolean
  /** Addresses left to try */
  remaining: ConnectTarget[]
}

/** Exchanges with the first address that accepts a TCP connection. */
async function exchangeWithFirst(
  targets: readonly ConnectTarget[],
  request: HttpsRequest,
  { options, deadline }: Bounded,
): Promise<Next> {
  const { connect, roots, inspect = false } = options
  const begun = performance.now()
  try {
    const { socket, target, remaining } = await connectFirst(targets, {
      connect,
      signal: deadline.signal,
    })
    const turn = turnOf(deadline, remaining.length, request)
    try {
      const conversation = new Conversation(target.address, begun)
      const { signal } = turn
      const exchange = await conversation.hold(socket, request, { roots, inspect, signal })
      return { exchange, connected: true, remaining }
    } finally {
      if (turn !== deadline) turn.clear()
    }
  } catch (error) {
    const reason = deadline.signal.aborted ? 'timeout' : 'connection-failed'
    return { exchange: failedExchange(reason, error), connected: false, remaining: [] }
  }
}

/** The remaining addresses share the remaining time equally; the last one has all of it. */
function turnOf(deadline: Deadline, remaining: number, request: HttpsRequest): Deadline {
  if (remaining === 0) return deadline
  return deadlineOf(request, deadline.left / (remaining + 1), deadline.signal)
}

function failedExchange(reason: FailureReason, cause: unknown): HttpsExchange {
  const failure = { reason, certificate: false, cause: errorOfThrown(cause) }
  return { ok: false, sent: false, times: {}, failure }
}
