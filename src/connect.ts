/**
 * How TCP connections are opened: to each address of a host in turn, the next one begun before
 * the first has run into its timeout (RFC 8305), and through the caller's own `connect`.
 *
 * @module
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { MtaStsError } from './errors.js'

/** One address that is about to be connected to. */
export interface ConnectTarget {
  /** A policy host (HTTPS), or an MX host (SMTP) */
  purpose: 'policy' | 'smtp'
  /** The name that the address belongs to */
  host: string
  /** An IPv4 or IPv6 address, as text */
  address: string
  port: number
}

/**
 * Opens a TCP connection, or begins to: a proxy client, a source address, a test's loopback.
 * The socket may still be connecting when it is returned.
 */
export type Connect = (target: ConnectTarget) => Socket | Promise<Socket>

export const connectDirectly: Connect = ({ address, port }) => connectTcp({ host: address, port })

export interface ConnectOptions {
  connect: Connect
  /** For each address, in milliseconds */
  timeout: number
  signal?: AbortSignal | undefined
}

export interface Connected {
  socket: Socket
  target: ConnectTarget
  /** The targets that are worth another try if this one turns out to be of no use */
  remaining: ConnectTarget[]
}

/** No address of a host could be connected to. */
export class ConnectError extends MtaStsError {
  /** Not `true`: the host may be back later */
  readonly permanent = false
  /** One for each address */
  readonly errors: ReadonlyArray<{ target: ConnectTarget; error: Error }>

  constructor(errors: ReadonlyArray<{ target: ConnectTarget; error: Error }>) {
    const list = errors.map(
      ({ target, error }) => `${target.address} port ${target.port}: ${error.message}`,
    )
    const host = errors[0]?.target.host ?? 'a host that has no address'
    super(`Could not connect to ${host} (${list.join('; ')})`, 'ECONNECTION', {
      cause: errors[0]?.error,
    })
    this.errors = errors
  }
}

/** How long an address is waited for before the next one is begun beside it (RFC 8305 §5). */
const ATTEMPT_DELAY = 250

/**
 * Connects to the first of the targets that answers. The first is favoured: the next is begun
 * when it fails, or after 250 ms, and whichever is there first is taken.
 *
 * @throws ConnectError when none of them answers; the signal's reason when it is aborted
 */
export function connectFirst(
  targets: readonly ConnectTarget[],
  options: ConnectOptions,
): Promise<Connected> {
  const failed: Array<{ target: ConnectTarget; error: Error }> = []
  const giveUp = new AbortController()
  const onAbort = () => giveUp.abort(options.signal?.reason)
  if (options.signal?.aborted) onAbort()
  options.signal?.addEventListener('abort', onAbort, { once: true })

  return new Promise<Connected>((resolve, reject) => {
    let begun = 0
    let timer: NodeJS.Timeout | undefined
    const finish = (settle: () => void) => {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', onAbort)
      settle()
      giveUp.abort()
    }
    const beginNext = () => {
      clearTimeout(timer)
      const target = targets[begun++]
      if (!target) return
      if (begun < targets.length) timer = setTimeout(beginNext, ATTEMPT_DELAY)
      connectOne(target, { ...options, signal: giveUp.signal }).then(
        (socket) => {
          const dead = new Set(failed.map((entry) => entry.target))
          const remaining = targets.filter((other) => other !== target && !dead.has(other))
          finish(() => resolve({ socket, target, remaining }))
        },
        (error: Error) => {
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

async function connectOne(target: ConnectTarget, options: ConnectOptions): Promise<Socket> {
  const { signal } = options
  signal?.throwIfAborted()
  const socket = await options.connect(target)
  try {
    await connected(socket, options)
    return socket
  } catch (error) {
    socket.on('error', ignore)
    socket.destroy()
    throw error
  }
}

async function connected(socket: Socket, options: ConnectOptions): Promise<void> {
  // Somebody's own connect() may have taken its time
  options.signal?.throwIfAborted()
  if (socket.readyState !== 'open') await opened(socket, options)
}

function opened(socket: Socket, { timeout, signal }: ConnectOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      settle(() =>
        reject(
          Object.assign(new Error(`no connection within ${timeout} ms`), { code: 'ETIMEDOUT' }),
        ),
      )
    }, timeout)
    const onConnect = () => settle(resolve)
    const onError = (error: Error) => settle(() => reject(error))
    const onClose = () => settle(() => reject(new Error('connection closed')))
    const onAbort = () => settle(() => reject(signal?.reason))
    const settle = (done: () => void) => {
      clearTimeout(timer)
      socket.off('connect', onConnect).off('error', onError).off('close', onClose)
      signal?.removeEventListener('abort', onAbort)
      done()
    }
    socket.once('connect', onConnect).once('error', onError).once('close', onClose)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

function ignore(): void {}
