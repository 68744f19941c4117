/**
 * STARTTLS (RFC 3207): the command, the handshake, the verdict, and the first reply inside TLS.
 *
 * @module
 */
import type { Socket } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { discard } from '../net/connect.js'
import type { TlsFailure } from '../tls/failures.js'
import { connectTls } from '../tls/handshake.js'
import { failedHandshake } from '../tls/verdict.js'
import type { SmtpTarget } from './connection.js'
import type { SmtpDialogue } from './dialogue.js'
import { type Greeted, type Greeter, type OnBegin, refused } from './hello.js'
import { connectionError, type Reply, SmtpError } from './reply.js'

export const NOT_OFFERED: TlsFailure = {
  resultType: 'starttls-not-supported',
  reason: 'not-offered',
}

/** A dialogue inside TLS. */
export interface Secured {
  dialogue: SmtpDialogue
  socket: TLSSocket
  /** The reply to EHLO; an error when something came that is no reply */
  reply: Reply | SmtpError
}

/** What STARTTLS came to. */
export interface StartTlsOutcome {
  /** What is wrong with the session; with `secured`, what the security only audits */
  failure?: TlsFailure | undefined
  /** Left out where TLS did not come about, or a proof that is demanded was not given */
  secured?: Secured | undefined
}

export interface StartTlsSettings {
  greeter: Greeter
  onBegin: OnBegin
  /** For STARTTLS and the handshake, in milliseconds */
  timeout: number
  signal?: AbortSignal | undefined
}

/**
 * Begins TLS on a connection that was greeted. The handshake counts as complete when the first reply
 * has come through it: with TLS 1.3 a host that demands a client certificate, say, ends the
 * connection only after the handshake is over for the client.
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
 * Begins TLS on a connection on which nothing was said yet (RFC 8314 §3.3).
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
 * Returns the failed handshake that an error stands for which came in place of the first reply
 * inside TLS; undefined when the host did reply.
 */
export function lostInTls(error: unknown): TlsFailure | undefined {
  if (!(error instanceof SmtpError) || error.command !== 'CONN') return undefined
  if (error.responseCode !== undefined || error.code === 'EPROTOCOL') return undefined
  return failedHandshake(rootOf(error))
}

/** Says STARTTLS; returns why there can be no handshake. The connection has ended then. */
async function requestTls(
  dialogue: SmtpDialogue,
  timeout: number,
): Promise<TlsFailure | undefined> {
  const resultType = 'starttls-not-supported'
  // Bytes behind the reply to EHLO break the protocol; they are no answer to STARTTLS
  dialogue.assertQuiet('STARTTLS')
  try {
    const reply = await dialogue.command('STARTTLS', 'STARTTLS', timeout)
    // RFC 3207 §4.2: what stands behind the reply was not said inside TLS
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
  // What ends the socket below is heard from the TLS socket
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
    const timer = setTimeout(onTimeout, timeout)
    secured.on('secureConnect', onSecure).on('error', fail).on('close', onClose)
    onBegin(fail)
  })
}

/** Says EHLO; a reply that makes no sense came through TLS all the same. */
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

/** Returns what Node or OpenSSL said, where the dialogue only says that the connection was lost. */
function rootOf(error: unknown): unknown {
  return error instanceof SmtpError && error.cause !== undefined ? error.cause : error
}

function ignore(): void {}
