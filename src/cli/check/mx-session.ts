/**
 * A connection to one address of an MX host: EHLO, STARTTLS, a look at the certificate, QUIT.
 *
 * @module
 */
import type { Socket } from 'node:net'
import type { Candidate } from '../../delivery/plan.js'
import { MtaStsError } from '../../errors.js'
import { connectFirst } from '../../net/connect.js'
import type { Settings } from '../../options.js'
import { escapeRemoteText } from '../../text.js'
import type { FailureReason, TlsFailure } from '../../tls/failures.js'
import { failedHandshake } from '../../tls/verdict.js'
import type { MxSession } from './findings.js'
import { type Handshake, shakeHands, within } from './handshake.js'
import { causeOf, isNoRoute, problemOf } from './problem.js'
import { type Reply, SmtpDialogue } from './smtp-dialogue.js'

export interface SessionOptions {
  settings: Settings
  /** For the whole session, in milliseconds */
  timeout: number
  /** What EHLO says */
  name: string
}

/** How long a host may take to answer QUIT, in milliseconds. */
const QUIT_TIMEOUT = 1000

/** What an {@link AUDITED} candidate proves at one of its addresses. Never rejects. */
export async function trySession(
  candidate: Candidate,
  address: string,
  options: SessionOptions,
): Promise<MxSession> {
  const begun = performance.now()
  const outcome = await within(options.timeout, (signal) =>
    talk({ candidate, address, signal, options }),
  ).catch((error: unknown) => ({ error }))
  const milliseconds = Math.round(performance.now() - begun)
  const common = { address, milliseconds, ...NOTHING_SEEN }
  if ('error' in outcome) {
    const { error } = outcome
    return { ...common, error: causeOf(error) ?? 'unknown error', noRoute: isNoRoute(error) }
  }
  const { version = null, cipher = null, certificate = null } = outcome.seen ?? {}
  const { failure } = outcome
  const circumstances = { certificate, now: options.settings.now() }
  return {
    ...common,
    tlsVersion: version,
    cipher,
    certificate,
    problem: failure === undefined ? null : problemOf(failure, circumstances),
  }
}

const NOTHING_SEEN = {
  tlsVersion: null,
  cipher: null,
  certificate: null,
  problem: null,
  error: null,
  noRoute: false,
}

interface Talk {
  candidate: Candidate
  address: string
  signal: AbortSignal
  options: SessionOptions
}

interface Outcome {
  seen?: Handshake
  failure: TlsFailure | undefined
}

async function talk({ candidate, address, signal, options }: Talk): Promise<Outcome> {
  const { mxHost: host, port } = candidate
  const { connect } = options.settings
  const { socket } = await connectFirst([{ purpose: 'smtp', host, address, port }], {
    connect,
    timeout: options.timeout,
    signal,
  })
  const abort = () => socket.destroy(signal.reason)
  // Told to the dialogue as long as there is one
  socket.on('error', () => undefined)
  signal.addEventListener('abort', abort, { once: true })
  try {
    const dialogue = new SmtpDialogue(socket)
    expect('greeting', 220, await dialogue.reply())
    const { lines } = expect('EHLO', 250, await dialogue.say(`EHLO ${options.name}`))
    const offered = lines.slice(1).some((line) => /^STARTTLS\b/i.test(line))
    const failure = offered ? await startTls(dialogue) : notSupported('not-offered')
    if (failure === undefined) return await secure(dialogue.release(), candidate, signal)
    await quit(dialogue)
    return { failure }
  } finally {
    signal.removeEventListener('abort', abort)
    socket.destroy()
  }
}

/** A reply that says: not with you, or not now. It tells nothing of STARTTLS. */
function expect(what: string, code: number, reply: Reply): Reply {
  if (reply.code === code) return reply
  const text = escapeRemoteText(`${reply.code} ${reply.lines.join(' ')}`)
  throw new MtaStsError(`it answered ${text} (${what})`, 'ESMTP')
}

/** Undefined: the host is ready for the handshake. */
async function startTls(dialogue: SmtpDialogue): Promise<TlsFailure | undefined> {
  try {
    const { code } = await dialogue.say('STARTTLS')
    return code === 220 ? undefined : notSupported('refused')
  } catch (cause) {
    return { ...notSupported('no-answer'), cause }
  }
}

function notSupported(reason: FailureReason): TlsFailure {
  return { resultType: 'starttls-not-supported', reason }
}

async function secure(plain: Socket, candidate: Candidate, signal: AbortSignal): Promise<Outcome> {
  try {
    const seen = await shakeHands(plain, candidate, signal)
    await quit(new SmtpDialogue(seen.socket))
    return { seen, failure: seen.failure }
  } catch (error) {
    return { failure: failedHandshake(error) }
  }
}

/** Whatever comes of it: what there was to be seen has been seen. */
async function quit(dialogue: SmtpDialogue): Promise<void> {
  await within(QUIT_TIMEOUT, async (signal) => {
    const late = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    await Promise.race([dialogue.say('QUIT'), late])
  }).catch(() => undefined)
}
