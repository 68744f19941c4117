/**
 * The open connections of a transport: leased to one message at a time, kept for the next one, and
 * bounded in number.
 *
 * @module
 */
import type { Candidate } from '../delivery/candidate.js'
import type { SmtpConnection } from '../smtp/connection.js'
import { isTooManyConnections } from '../smtp/error-meaning.js'
import { fits, type Kept } from './kept-connection.js'
import { WaitingLine } from './waiting-line.js'

/** Bounds of a {@link SessionPool}. */
export interface PoolLimits {
  /** Open connections in all */
  maxConnections: number
  /** Open connections to one MX host */
  maxConnectionsPerHost: number
  /** Messages sent over one connection before it is closed */
  maxMessages: number
  /** The time for which a connection is kept without a message, in milliseconds */
  idleTimeout: number
}

/** A connection for one message. Give it back with `release` or `discard`. */
export interface Lease {
  connection: SmtpConnection
  /** It has carried messages before, and the peer may have closed it since */
  reused: boolean
}

/** Input of {@link SessionPool.acquire}, beside the candidate. */
export interface AcquireOptions {
  /** Opens a new connection to the candidate; rejects when the signal is aborted */
  open(): Promise<SmtpConnection>
  /** Called after each wait; throws when the connection is not wanted any more */
  check(): void
  /** A kept connection has failed: takes a new one only */
  fresh?: boolean | undefined
  signal?: AbortSignal | undefined
}

interface Host {
  /** Open, or being opened */
  open: number
  idle: Kept[]
  /** Fewer than the limit after the host refused a connection for being one too many */
  limit: number
}

export class SessionPool {
  readonly #limits: PoolLimits
  readonly #hosts = new Map<string, Host>()
  readonly #leased = new Map<SmtpConnection, Kept>()
  readonly #line = new WaitingLine()
  #open = 0
  #closed = false

  constructor(limits: PoolLimits) {
    this.#limits = limits
  }

  /**
   * Returns a connection that may carry a message for the candidate: a kept one, or a new one once
   * the limits allow it.
   *
   * @throws as `open` and `check` do; the signal's reason when it is aborted
   */
  async acquire(candidate: Candidate, options: AcquireOptions): Promise<Lease> {
    const { mxHost } = candidate
    for (let again = false; ; again = true) {
      this.#throwIfUnwanted(options)
      const kept = options.fresh ? undefined : this.#takeIdle(candidate)
      if (kept) return { connection: kept.connection, reused: true }
      if (this.#makeRoom(mxHost)) {
        const connection = await this.#openConnection(candidate, options)
        if (connection) return { connection, reused: false }
      }
      await this.#line.wait(mxHost, again, options.signal)
    }
  }

  /** Keeps a connection for the next message, unless it has carried enough of them. */
  release(connection: SmtpConnection): void {
    const kept = this.#leased.get(connection)
    if (!kept) return
    this.#leased.delete(connection)
    if (connection.closed) return
    const worn = kept.messages >= this.#limits.maxMessages
    if (worn || this.#closed) void connection.quit()
    else this.#keep(kept)
  }

  /** Ends a connection on which something went wrong; without QUIT, which might become message text. */
  discard(connection: SmtpConnection): void {
    connection.close()
  }

  /** Closes idle connections. One in use is closed when given back, or at once with `force`. */
  close(options: { force?: boolean } = {}): void {
    this.#closed = true
    for (const { idle } of this.#hosts.values()) {
      for (const { connection } of [...idle]) void connection.quit()
    }
    if (!options.force) return
    for (const connection of this.#leased.keys()) connection.close()
    this.#line.wakeAll()
  }

  #throwIfUnwanted({ signal, check }: AcquireOptions): void {
    try {
      signal?.throwIfAborted()
      check()
    } catch (error) {
      // The place that this message was woken for goes to the next one
      this.#wakeNext()
      throw error
    }
  }

  /** Opens a connection; undefined when the host takes no more than are open already. */
  async #openConnection(
    candidate: Candidate,
    { open, signal }: AcquireOptions,
  ): Promise<SmtpConnection | undefined> {
    const { mxHost, security } = candidate
    const host = this.#host(mxHost)
    this.#open++
    host.open++
    try {
      const connection = await open()
      if (signal?.aborted) connection.close()
      signal?.throwIfAborted()
      this.#leased.set(connection, { connection, security, messages: 1 })
      connection.onClose(() => this.#forget(connection))
      return connection
    } catch (error) {
      this.#freed(mxHost)
      const others = host.open
      if (others > 0 && isTooManyConnections(error)) {
        host.limit = others
        return undefined
      }
      throw error
    }
  }

  #takeIdle(candidate: Candidate): Kept | undefined {
    const host = this.#hosts.get(candidate.mxHost)
    const index = host?.idle.findIndex((kept) => fits(kept, candidate)) ?? -1
    const [kept] = index < 0 ? [] : (host?.idle.splice(index, 1) ?? [])
    if (!kept) return undefined
    if (kept.timer !== undefined) {
      clearTimeout(kept.timer)
      kept.timer = undefined
      kept.connection.ref()
    }
    kept.messages++
    this.#leased.set(kept.connection, kept)
    return kept
  }

  #keep(kept: Kept): void {
    this.#host(kept.connection.mxHost).idle.push(kept)
    this.#wakeNext()
    // A message that was woken takes the connection before: a busy one needs no timer
    queueMicrotask(() => this.#rest(kept))
  }

  /** Starts the idle time of a connection that no message has taken. */
  #rest(kept: Kept): void {
    const { connection } = kept
    const idle = this.#hosts.get(connection.mxHost)?.idle
    if (kept.timer !== undefined || !idle?.includes(kept)) return
    kept.timer = setTimeout(() => void connection.quit(), this.#limits.idleTimeout).unref()
    connection.unref()
  }

  /** Makes room for another connection, closing an idle one if need be; false: there is none. */
  #makeRoom(mxHost: string): boolean {
    const host = this.#host(mxHost)
    if (host.open >= this.#limitOf(host)) {
      // An idle connection there is of no use to this message
      const [oldest] = host.idle
      if (!oldest) return false
      oldest.connection.close()
    }
    if (this.#open < this.#limits.maxConnections) return true
    const idlest = this.#idlest()
    idlest?.connection.close()
    return idlest !== undefined
  }

  #limitOf({ limit }: Host): number {
    return Math.min(limit, this.#limits.maxConnectionsPerHost)
  }

  #idlest(): Kept | undefined {
    for (const { idle } of this.#hosts.values()) if (idle[0]) return idle[0]
    return undefined
  }

  #forget(connection: SmtpConnection): void {
    this.#leased.delete(connection)
    const { mxHost } = connection
    const idle = this.#hosts.get(mxHost)?.idle ?? []
    const index = idle.findIndex((kept) => kept.connection === connection)
    const [kept] = index < 0 ? [] : idle.splice(index, 1)
    clearTimeout(kept?.timer)
    this.#freed(mxHost)
  }

  #freed(mxHost: string): void {
    const host = this.#host(mxHost)
    this.#open--
    host.open--
    if (host.open === 0) this.#hosts.delete(mxHost)
    this.#wakeNext()
  }

  /** Wakes the message that has waited longest among those that can go on. */
  #wakeNext(): void {
    this.#line.wakeNext((mxHost) => this.#canGoOn(mxHost))
  }

  /** Whether a message for the host would find a connection, or a place for one. */
  #canGoOn(mxHost: string): boolean {
    const host = this.#hosts.get(mxHost)
    if (host && host.idle.length > 0) return true
    const hasPlace = !host || host.open < this.#limitOf(host)
    return hasPlace && (this.#open < this.#limits.maxConnections || this.#idlest() !== undefined)
  }

  #host(mxHost: string): Host {
    const known = this.#hosts.get(mxHost)
    if (known) return known
    const host: Host = { open: 0, idle: [], limit: Number.POSITIVE_INFINITY }
    this.#hosts.set(mxHost, host)
    return host
  }
}
