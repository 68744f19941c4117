/**
 * Sessions that are kept for the next message. What identifies one is the MX host, the address,
 * and what was proved (DESIGN D14): a session that proved nothing never carries a message that
 * needs proof, also when a policy has arrived since it was opened.
 *
 * @module
 */
import type { Candidate } from '../delivery/plan.js'
import { openSession, type Session, type SessionOptions, type SessionPurpose } from './session.js'

export interface PoolLimits {
  /** Open connections in all */
  maxConnections: number
  /** Open connections to one MX host */
  maxConnectionsPerHost: number
  /** Messages sent over one connection before it is closed */
  maxMessages: number
  /** How long a connection is kept without a message, in milliseconds */
  idleTimeout: number
}

/** A session for one message. Give it back with `release` or `discard`. */
export interface Lease {
  session: Session
  /** It has carried messages before, and the peer may have closed it since */
  reused: boolean
}

/** What is known of an MX host's connections. */
interface Host {
  /** Open, or being opened */
  open: number
  idle: IdleSession[]
  /** In the order in which they came */
  waiting: Array<() => void>
}

interface IdleSession {
  session: Session
  timer: NodeJS.Timeout
}

export class SessionPool {
  readonly #limits: PoolLimits
  readonly #options: SessionOptions
  readonly #hosts = new Map<string, Host>()
  readonly #leased = new Set<Session>()
  #open = 0
  #closed = false

  constructor(limits: PoolLimits, options: SessionOptions) {
    this.#limits = limits
    this.#options = options
  }

  /** No connection can be opened for another message now. */
  get full(): boolean {
    return this.#open >= this.#limits.maxConnections && this.#idlest() === undefined
  }

  /**
   * A session that may carry a message for the candidate: one that is kept, or a new one, once the
   * limits allow it.
   *
   * @throws as {@link openSession} does; the signal's reason when it is aborted
   */
  async acquire(candidate: Candidate, purpose: SessionPurpose): Promise<Lease> {
    const { signal } = purpose
    for (;;) {
      const host = this.#host(candidate.mxHost)
      if (signal?.aborted) {
        // The place that this one was woken for is the next one's
        this.#wake(candidate.mxHost)
        throw signal.reason
      }
      const kept = this.#takeIdle(host, candidate)
      if (kept) {
        if (kept.finding) purpose.note(kept.finding)
        return { session: kept, reused: true }
      }
      if (this.#makeRoom(host)) return this.#openSession(host, candidate, purpose)
      await turn(host.waiting, signal)
    }
  }

  /** Keeps a session for the next message, unless it has carried enough of them. */
  release(session: Session): void {
    this.#leased.delete(session)
    if (session.closed) return
    const worn = session.messages >= this.#limits.maxMessages
    if (worn || this.#closed) session.quit()
    else this.#keep(session)
  }

  /** Ends a session on which something went wrong; without QUIT, which might become message text. */
  discard(session: Session): void {
    session.close()
  }

  /** Ends what is idle; what is in use ends when it is given back, or at once with `force`. */
  close(options: { force?: boolean } = {}): void {
    this.#closed = true
    for (const { idle } of this.#hosts.values()) {
      for (const { session } of [...idle]) session.quit()
    }
    if (options.force) for (const session of this.#leased) session.close()
  }

  async #openSession(host: Host, candidate: Candidate, purpose: SessionPurpose): Promise<Lease> {
    this.#open++
    host.open++
    try {
      const session = await openSession(candidate, purpose, this.#options)
      session.onClose(() => this.#forget(session))
      this.#leased.add(session)
      return { session, reused: false }
    } catch (error) {
      this.#freed(candidate.mxHost)
      throw error
    }
  }

  #takeIdle(host: Host, candidate: Candidate): Session | undefined {
    const index = host.idle.findIndex(({ session }) => session.fits(candidate))
    const [kept] = index < 0 ? [] : host.idle.splice(index, 1)
    if (!kept) return undefined
    clearTimeout(kept.timer)
    kept.session.ref()
    this.#leased.add(kept.session)
    return kept.session
  }

  #keep(session: Session): void {
    const host = this.#host(session.facts.mxHost)
    const timer = setTimeout(() => session.quit(), this.#limits.idleTimeout).unref()
    session.unref()
    host.idle.push({ session, timer })
    this.#wake(session.facts.mxHost)
  }

  /** Whether another connection to the host may be opened, once something idle has given way. */
  #makeRoom(host: Host): boolean {
    if (host.open >= this.#limits.maxConnectionsPerHost) {
      // What is idle there is of no use to this message
      const [oldest] = host.idle
      oldest?.session.close()
      if (!oldest) return false
    }
    if (this.#open < this.#limits.maxConnections) return true
    const idlest = this.#idlest()
    idlest?.session.close()
    return idlest !== undefined
  }

  #idlest(): IdleSession | undefined {
    for (const { idle } of this.#hosts.values()) if (idle[0]) return idle[0]
    return undefined
  }

  /** A session has ended, by whose will ever. */
  #forget(session: Session): void {
    this.#leased.delete(session)
    const { mxHost } = session.facts
    const { idle } = this.#host(mxHost)
    const index = idle.findIndex((entry) => entry.session === session)
    const [entry] = index < 0 ? [] : idle.splice(index, 1)
    clearTimeout(entry?.timer)
    this.#freed(mxHost)
  }

  #freed(mxHost: string): void {
    const host = this.#host(mxHost)
    this.#open--
    host.open--
    this.#wake(mxHost)
    if (host.open === 0 && host.waiting.length === 0) this.#hosts.delete(mxHost)
  }

  /** Something can go on: first what waits for this host, then what waits for any place at all. */
  #wake(mxHost: string): void {
    const hosts = [this.#hosts.get(mxHost), ...this.#hosts.values()]
    const next = hosts.find((host) => host && host.waiting.length > 0 && this.#canGoOn(host))
    next?.waiting.shift()?.()
  }

  /** Whether a message for the host would find a session, or a place for one. */
  #canGoOn({ idle, open }: Host): boolean {
    if (idle.length > 0) return true
    return open < this.#limits.maxConnectionsPerHost && !this.full
  }

  #host(mxHost: string): Host {
    const known = this.#hosts.get(mxHost)
    if (known) return known
    const host: Host = { open: 0, idle: [], waiting: [] }
    this.#hosts.set(mxHost, host)
    return host
  }
}

/** Resolves when it is this one's turn, or when the signal is aborted. */
function turn(queue: Array<() => void>, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }
    const onAbort = () => {
      const index = queue.indexOf(wake)
      if (index >= 0) queue.splice(index, 1)
      resolve()
    }
    queue.push(wake)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
