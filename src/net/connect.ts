/**
 * Opens TCP connections to the addresses of a host in turn, the next one started before the
 * previous one times out (RFC 8305), or through the caller's `connect`.
 *
 * @module
 */
import type { Socket } from 'node:net'
import { builtins } from '../builtins.js'
import { MtaStsError } from '../errors.js'
import { errorOfThrown } from '../text.js'
import { onAbort, startTimer } from './deadline.js'

/** An address to connect to. */
export interface ConnectTarget {
  /** A policy host (HTTPS), an MX host (SMTP), or a collector of TLS reports (HTTPS) */
  purpose: 'policy' | 'smtp' | 'report'
  /** The name of the host with this address */
  host: string
  /** An IPv4 or IPv6 address, as text */
  address: string
  /** 443 for HTTPS, unless the URL of a collector names another; for SMTP the option `port` */
  port: number
}

/**
 * Opens a TCP connection, or starts to: a proxy client, a source address, a test's loopback. The
 * returned socket may still be connecting.
 */
export type Connect = (target: ConnectTarget) => Socket | Promise<Socket>

export const connectDirectly: Connect = ({ address, port }) =>
  builtins.net.connect({ host: address, port })

export interface ConnectOptions {
  connect: Connect
  /** Limit for each address, in milliseconds; default: only the signal ends an attempt */
  timeout?: number
  signal?: AbortSignal | undefined
}

export interface Connected {
  socket: Socket
  target: ConnectTarget
  /** The targets left to try if this one fails later */
  remaining: ConnectTarget[]
  /** The targets that failed before this one connected */
  failed: ReadonlyArray<{ target: ConnectTarget; error: Error }>
}

/** No address of a host could be connected to. */
export class ConnectError extends MtaStsError {
  /** Not `true`: the host may be back later */
  readonly permanent: false
  /** One error for each address */
  readonly errors: ReadonlyArray<{ target: ConnectTarget; error: Error }>

  constructor(errors: ReadonlyArray<{ target: ConnectTarget; error: Error }>) {
    const list = errors.map(
      ({ target, error }) => `${target.address} port ${target.port}: ${error.message}`,
    )
    const host = errors[0]?.target.host ?? 'a host that has no address'
    super(`Could not connect to ${host} (${list.join('; ')})`, 'ECONNECTION', {
      cause: errors[0]?.error,
    })
    this.name = 'ConnectError'
    this.permanent = false
    this.errors = errors
  }
}

/** Delay before the next address is tried in parallel (RFC 8305 §5). */
const ATTEMPT_DELAY = 250

/**
 * Connects to the first target that answers. The next one is started when the one before fails, or
 * after 250 ms; the first connection is used.
 *
 * @throws ConnectError when none of them answers; the signal's reason when it is aborted
 */
export function connectFirst(
  targets: readonly ConnectTarget[],
  options: ConnectOptions,
): Promise<Connected> {
  const failed: Array<{ target: ConnectTarget; error: Error }> = []
  // One address alone needs no signal of its own
  const giveUp = targets.length > 1 ? new AbortController() : undefined
  const signal = giveUp?.signal ?? options.signal
  const release = giveUp
    ? onAbort(options.signal, () => giveUp.abort(options.signal?.reason))
    : () => undefined

  return new Promise<Connected>((resolve, reject) => {
    let begun = 0
    let timer: NodeJS.Timeout | undefined
    const finish = (settle: () => void) => {
      clearTimeout(timer)
      release()
      settle()
      // Where one address was tried, there is nothing to give up
      if (begun > 1) giveUp?.abort()
    }
    const beginNext = () => {
      clearTimeout(timer)
      const target = targets[begun++]
      if (!target) return
      if (begun < targets.length) timer = setTimeout(beginNext, ATTEMPT_DELAY)
      connectOne(target, { ...options, signal }).then(
        (socket) => {
          const dead = new Set(failed.map((entry) => entry.target))
          const remaining = targets.filter((other) => other !== target && !dead.has(other))
          finish(() => resolve({ socket, target, remaining, failed }))
        },
        (thrown: unknown) => {
          const error = errorOfThrown(thrown)
          if (options.signal?.aborted) return finish(() => reject(options.signal?.reason))
          failed.push({ target, error })
          if (failed.length === targets.length) finish(() => reject(new ConnectError(failed)))
          else if (begun < targets.length) beginNext()
        },
      )
    }
    if (targets.length === 0) finish(() => reject(new ConnectError([])))
    else beginNext()
  })
}

/** Connects to one address. The time limit includes the call of `connect`. */
function connectOne(
  target: ConnectTarget,
  { connect, timeout, signal }: ConnectOptions,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    let socket: Socket | undefined
    let settled = false
    const settle = (done: () => void) => {
      if (settled) return
      settled = true
      clearTimeout(timer)
      release()
      socket?.off('error', fail).off('close', onClose)
      done()
    }
    const fail = (error: unknown) =>
      settle(() => {
        discard(socket)
        reject(error)
      })
    const onClose = () => fail(new Error('connection closed'))
    const timer =
      timeout === undefined ? undefined : startTimer(() => fail(timeoutError(timeout)), timeout)
    const release = onAbort(signal, () => fail(signal?.reason))
    const take = (opened: Socket) => {
      if (settled) return discard(opened)
      if (!(opened instanceof builtins.stream.Duplex))
        return fail(new TypeError('connect() returned no socket'))
      socket = opened
      // Its events may be over, or about to come: a socket that fails at once is closed before them
      if (opened.closed) return fail(opened.errored ?? new Error('connection closed'))
      const ready = () => settle(() => resolve(opened))
      if (opened.readyState === 'open') return ready()
      opened.once('connect', ready).once('error', fail).once('close', onClose)
    }
    try {
      const opened = connect(target)
      // Not awaited: the error handler must be attached before a socket fails at once
      if ('then' in Object(opened)) Promise.resolve(opened).then(take, fail)
      else take(opened as Socket)
    } catch (error) {
      fail(error)
    }
  })
}

/** Destroys a socket, if any, whose events are no longer handled. */
export function discard(socket: Socket | undefined): void {
  socket?.on('error', ignore).destroy()
}

function timeoutError(timeout: number): Error {
  return Object.assign(new Error(`no connection within ${timeout} ms`), { code: 'ETIMEDOUT' })
}

function ignore(): void {}
