/**
 * STARTTLS (RFC 3207): the command, the handshake, the verdict, and the first reply inside TLS.
 *
 * @module
 */
import type { Socket } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { discard } from '../net/connect.js'
import { startTimer } from '../net/deadline.js'
import type { TlsFailure } from '../tls/failures.js'
import { connectTls } from '../tls/handshake.js'
import { failedHandshake } from '../tls/verdict.js'
import type { SmtpTarget } from './connection.js'
import type { SmtpDialogue } from './dialogue.js'
import { connectionError, SmtpError } from './errors.js'
import { type Greeted, type Greeter, type OnBegin, refused } from './hello.js'
import type { Reply } from './reply.js'

export const NOT_OFFERED: TlsFailure = {
  resultType: 'starttls-not-supported',
  reason: 'not-offered',
}

/** A dialogue inside TLS. */
export interface Secured {
  dialogue: SmtpDialogue
  socket: TLSSocket
  /** The reply to EHLO, or the error for an invalid reply */
  reply: Reply | SmtpError
}

/** The outcome of STARTTLS. */
export interface StartTlsOutcome {
  /** The failure of the session; with `secured`, one that is only audited */
  failure?: TlsFailure | undefined
  /** Omitted if TLS failed, or a demanded proof is missing */
  secured?: Secured | undefined
}

export interface StartTlsSettings {
  greeter: Greeter
  onBegin: OnBegin
  /** Limit of STARTTLS and the handshake, in milliseconds */
  timeout: number
  signal?: AbortSignal | undefined
}

/**
 * Starts TLS after the greeting. The handshake counts as complete only with the first reply inside
 * TLS: with TLS 1.3, a host that demands a client certificate closes the connection after the
 * client has finished its handshake.
 *
 * @throws the signal's reason when it is aborted
 */
export async function startTls(
  { dialogue, hello }: Greeted,
  target: SmtpTarget,
  settings: StartTlsSettings,
): Promise<StartTlsOutcome> {
  if (!hello.extensions.has('STARTTLS')) return { failure: NOT_OFFERED }
  const { signal, timeout } = settings
  const begun = performance.now()
  const failure = await requestTls(dialogue, timeout)
  signal?.throwIfAborted()
  if (failure) return { failure }
  try {
    const left = Math.max(1, timeout - (performance.now() - begun))
    const socket = await handshake(dialogue.detach(), target.tls, {
      timeout: left,
      onBegin: settings.onBegin,
    })
    const { refusal, audited } = target.judge(socket)
    if (refusal) {
      discard(socket)
      return { failure: refusal }
    }
    return { failure: audited, secured: await firstReply(socket, settings.greeter) }
  } catch (error) {
    signal?.throwIfAborted()
    return { failure: failedHandshake(rootOf(error)) }
  }
}

/**
 * Starts TLS on a connection before anything was sent (RFC 8314 §3.3).
 *
 * @throws the signal's reason when it is aborted
 */
export async function beginTls(
  socket: Socket,
  target: SmtpTarget,
  settings: StartTlsSettings,
): Promise<{ failure?: TlsFailure | undefined; socket?: TLSSocket }> {
  const { timeout, onBegin, signal } = settings
  try {
    const secured = await handshake(socket, target.tls, { timeout, onBegin })
    const { refusal, audited } = target.judge(secured)
    if (!refusal) return { failure: audited, socket: secured }
    discard(secured)
    return { failure: refusal }
  } catch (error) {
    signal?.throwIfAborted()
    return { failure: failedHandshake(error) }
  }
}

/**
 * Returns the failed handshake for an error in place of the first reply inside TLS; undefined if
 * the host did reply.
 */
export function lostInTls(error: unknown): TlsFailure | undefined {
  if (!(error instanceof SmtpError) || error.command !== 'CONN') return undefined
  if (error.responseCode !== undefined || error.code === 'EPROTOCOL') return undefined
  return failedHandshake(rootOf(error))
}

/** Sends STARTTLS; if no handshake can follow, ends the connection and returns the failure. */
async function requestTls(
  dialogue: SmtpDialogue,
  timeout: number,
): Promise<TlsFailure | undefined> {
  const resultType = 'starttls-not-supported'
  // Bytes after the reply to EHLO break the protocol, and do not answer STARTTLS
  dialogue.assertQuiet('STARTTLS')
  try {
    const reply = await dialogue.command('STARTTLS', 'STARTTLS', timeout)
    // RFC 3207 §4.2: bytes after the reply were not sent inside TLS
    if (dialogue.spokeEarly) {
      dialogue.close()
      return { resultType, reason: 'early-data' }
    }
    if (reply.code === 220) return undefined
    return { resultType, reason: 'refused', cause: refused(dialogue, 'STARTTLS', reply) }
  } catch (cause) {
    return { resultType, reason: 'no-answer', cause }
  }
}

function handshake(
  socket: Socket,
  options: ConnectionOptions,
  { timeout, onBegin }: { timeout: number; onBegin: OnBegin },
): Promise<TLSSocket> {
  // The TLS socket reports errors of the socket below
  socket.on('error', ignore)
  return new Promise((resolve, reject) => {
    const secured = connectTls({ ...options, socket })
    const settle = (done: () => void) => {
      clearTimeout(timer)
      secured.off('secureConnect', onSecure).off('error', fail).off('close', onClose)
      done()
    }
    const fail = (error: unknown) =>
      settle(() => {
        discard(secured)
        discard(socket)
        reject(error)
      })
    const onSecure = () => settle(() => resolve(secured))
    const onClose = () => fail(new Error('The connection was closed during the handshake'))
    const onTimeout = () => {
      const message = 'The handshake was not complete in time'
      fail(connectionError('STARTTLS', message, { code: 'ETIMEDOUT' }))
    }
    const timer = startTimer(onTimeout, timeout)
    secured.on('secureConnect', onSecure).on('error', fail).on('close', onClose)
    onBegin(fail)
  })
}

/** Sends EHLO. An invalid reply still came through TLS. */
async function firstReply(socket: TLSSocket, greeter: Greeter): Promise<Secured> {
  const { dialogue, reply } = greeter.again(socket)
  return {
    dialogue,
    socket,
    reply: await reply.catch((error) => {
      if (error instanceof SmtpError && error.code === 'EPROTOCOL') return error
      throw error
    }),
  }
}

/** Returns the error of Node or OpenSSL behind the dialogue's "connection lost". */
function rootOf(error: unknown): unknown {
  return error instanceof SmtpError && error.cause !== undefined ? error.cause : error
}

function ignore(): void {}
