/**
 * Sends one message on a ready connection: MAIL, RCPT, DATA and the message (RFC 5321 §3.3), in
 * groups if the host offers PIPELINING (RFC 2920). Each recipient gets its own reply.
 *
 * @module
 */
import type { SendResult, SmtpEnvelope } from './connection.js'
import { isStream, type MessageSource, sendBody, streamError } from './data.js'
import type { SmtpDialogue } from './dialogue.js'
import { type EnvelopeCommands, envelopeCommands, type HostFacts } from './envelope.js'
import {
  allRejectedError,
  connectionError,
  forRecipient,
  replyError,
  SmtpError,
  withRejections,
} from './errors.js'
import { type Reply, replyText, type SmtpStep } from './reply.js'
import type { ReplyTimeouts } from './timeouts.js'

/** Maximum number of commands in a group: the host must be able to buffer its replies. */
const MAX_GROUP = 100

/** Bound of a group in bytes: a host must be able to read it while we read nothing. */
const MAX_GROUP_BYTES = 8192

/** The facts about the connection that a transaction depends on. */
export interface TransactionHost extends HostFacts {
  readonly timeouts: ReplyTimeouts
}

const TOO_SLOW = 'The host took too long for the recipients before this one'

interface Command {
  step: SmtpStep
  text: string
  timeout: number
  /** Index of the recipient that RCPT names */
  index?: number
}

/** One message on one connection. */
export class Transaction {
  readonly #dialogue: SmtpDialogue
  readonly #host: TransactionHost
  readonly #to: readonly string[]
  readonly #commands: EnvelopeCommands
  /** By recipient; undefined: accepted, or not yet asked */
  readonly #refusals: Array<SmtpError | undefined>
  #accepted = 0
  #mailError: SmtpError | undefined
  #dataReply: Reply | undefined
  /** MAIL was accepted and nothing has ended the transaction since: RSET must precede another */
  open = false

  /**
   * @param size bytes of the message, if known
   * @throws as {@link envelopeCommands} does, before anything is sent
   */
  constructor(
    dialogue: SmtpDialogue,
    host: TransactionHost,
    envelope: SmtpEnvelope,
    size: number | undefined,
  ) {
    this.#dialogue = dialogue
    this.#host = host
    this.#commands = envelopeCommands(envelope, size, host)
    this.#to = [...envelope.to]
    this.#refusals = this.#commands.recipients.map(({ error }) => error)
  }

  /**
   * @param check called before each group of commands, and before the first byte of the message; an
   * error that it throws ends the connection
   * @throws SmtpError, with each recipient's outcome if the host replied
   */
  async run(message: MessageSource, check?: () => void): Promise<SendResult> {
    const begun = performance.now()
    try {
      const { timeouts } = this.#host
      this.#dialogue.limit(timeouts.total)
      await this.#envelope(check)
      this.#checkBefore(check)
      const sent = performance.now()
      const body = sendBody(this.#dialogue, message, timeouts)
      const messageSize = typeof body === 'number' ? body : await body
      this.#dialogue.log('client', `<${messageSize} bytes of message>`)
      const reply = await this.#dialogue.reply('message', timeouts.message)
      this.open = false
      if (reply.code >= 300) throw this.#replyError('message', reply)
      return this.#result(reply, messageSize, { begun, sent })
    } catch (error) {
      throw this.#withRecipients(error)
    } finally {
      this.#dialogue.limit(Number.POSITIVE_INFINITY)
    }
  }

  #checkBefore(check: (() => void) | undefined): void {
    try {
      check?.()
    } catch (error) {
      this.#dialogue.close()
      throw error
    }
  }

  /** Sends the commands up to the reply 354. */
  async #envelope(check: (() => void) | undefined): Promise<void> {
    for (const planned of this.#groups()) {
      const group = this.#inTime(planned)
      const [first] = group
      if (!first) continue
      // No recipient remains
      if (first.step === 'DATA' && this.#accepted === 0) break
      this.#checkBefore(check)
      this.#dialogue.send(
        group.map(({ text }) => text),
        first.step,
      )
      await this.#readReplies(group)
      if (this.#mailError) break
    }
    const reply = this.#dataReply
    if (!this.#mailError && this.#accepted > 0 && reply && isGoAhead(reply)) return
    // The host waits for a message without recipients (RFC 2920 §3.1)
    if (reply && isGoAhead(reply)) await this.#loneDot()
    if (this.#mailError) throw this.#mailError
    if (this.#accepted === 0 || !reply) throw allRejectedError(this.#allRefusals())
    throw this.#replyError('DATA', reply)
  }

  /** Leaves out further recipients once half of the time is over: they are tried later. */
  #inTime(group: Command[]): Command[] {
    const isLate = this.#dialogue.left < this.#host.timeouts.total / 2
    if (!isLate || this.#accepted === 0) return group
    return group.filter(({ step, index }) => {
      if (index === undefined) return true
      const error = connectionError(step, TOO_SLOW, { code: 'ETIMEDOUT' })
      this.#refusals[index] = forRecipient(error, this.#to[index] ?? '')
      return false
    })
  }

  async #readReplies(group: readonly Command[]): Promise<void> {
    try {
      for (const command of group) {
        const { step, timeout } = command
        const reply = this.#dialogue.take() ?? (await this.#dialogue.reply(step, timeout))
        this.#onReply(command, reply)
      }
    } catch (error) {
      if (!(error instanceof SmtpError)) throw error
      // The host's reply to the message says more than the end of the connection after it
      if (this.#mailError) throw this.#mailError
      const refusals = this.#allRefusals()
      throw refusals.length === this.#to.length ? allRejectedError(refusals) : error
    }
  }

  #onReply({ step, index }: Command, reply: Reply): void {
    const good = reply.code >= 200 && reply.code < 300
    if (step === 'DATA' && reply.code !== 421) {
      this.#dataReply = reply
    } else if (good) {
      if (step === 'MAIL FROM') this.open = true
      else if (!this.#mailError) this.#accepted++
    } else if (!this.#mailError) {
      const error = this.#replyError(step, reply, index)
      // The host ends the session (RFC 5321 §3.8), or its reply is out of order
      if (reply.code === 421 || error.code === 'EPROTOCOL') throw error
      if (step === 'MAIL FROM') this.#mailError = error
      else if (index !== undefined) this.#refusals[index] = error
    }
  }

  async #loneDot(): Promise<void> {
    try {
      this.#dialogue.send(['.'], 'message')
      await this.#dialogue.reply('message', this.#host.timeouts.message)
      this.open = false
    } catch {
      // The reported error is the reason why no recipient gets the message; the connection has
      // ended
    }
  }

  /** Returns the commands in groups; each is sent in one write before its replies are read. */
  #groups(): Command[][] {
    const pipelining = this.#host.secured && this.#host.extensions.has('PIPELINING')
    const groups: Command[][] = []
    let group: Command[] = []
    let bytes = 0
    for (const command of this.#sequence()) {
      const full = group.length >= MAX_GROUP || bytes + command.text.length > MAX_GROUP_BYTES
      if (group.length > 0 && (!pipelining || full)) {
        groups.push(group)
        group = []
        bytes = 0
      }
      group.push(command)
      bytes += command.text.length + 2
    }
    groups.push(group)
    return groups
  }

  #sequence(): Command[] {
    const { timeouts } = this.#host
    const { mail, recipients } = this.#commands
    const sequence: Command[] = [{ step: 'MAIL FROM', text: mail, timeout: timeouts.mail }]
    for (const [index, { command }] of recipients.entries()) {
      if (command === undefined) continue
      sequence.push({ step: 'RCPT TO', text: command, timeout: timeouts.recipient, index })
    }
    sequence.push({ step: 'DATA', text: 'DATA', timeout: timeouts.data })
    return sequence
  }

  /** Creates the error for a reply; 421, or an impossible reply, also ends the connection. */
  #replyError(step: SmtpStep, reply: Reply, index?: number): SmtpError {
    const recipient = index === undefined ? undefined : this.#to[index]
    const error = replyError(step, reply, this.#host, recipient)
    if (error.code === 'EPROTOCOL' || reply.code === 421) this.#dialogue.close()
    return error
  }

  #allRefusals(): SmtpError[] {
    return this.#refusals.filter((error) => error !== undefined)
  }

  /** Adds the outcome of each recipient to the error of the whole message. */
  #withRecipients(error: unknown): unknown {
    if (!(error instanceof SmtpError) || error.rejectedErrors) return error
    if (error.responseCode === undefined && this.#allRefusals().length === 0) return error
    return withRejections(
      error,
      this.#to.map((recipient, index) => this.#refusals[index] ?? forRecipient(error, recipient)),
    )
  }

  #result(
    reply: Reply,
    messageSize: number,
    { begun, sent }: { begun: number; sent: number },
  ): SendResult {
    const rejectedErrors = this.#allRefusals()
    return {
      accepted: this.#to.filter((_, index) => this.#refusals[index] === undefined),
      rejected: this.#to.filter((_, index) => this.#refusals[index] !== undefined),
      ...(rejectedErrors.length > 0 ? { rejectedErrors } : {}),
      response: replyText(reply),
      envelopeTime: Math.round(sent - begun),
      messageTime: Math.round(performance.now() - sent),
      messageSize,
    }
  }
}

function isGoAhead({ code }: Reply): boolean {
  return code >= 300 && code < 400
}

/** Ends the dialogue when a stream fails or is closed early, before or while it is read. */
export function watchStream(message: MessageSource, dialogue: SmtpDialogue): () => void {
  if (!isStream(message)) return () => {}
  const onError = (error: unknown) => dialogue.fail((step) => streamError(step, error))
  const onClose = () => {
    if (!message.readableEnded) onError(message.errored ?? 'it was closed')
  }
  if (message.errored || message.destroyed || message.readableEnded) {
    onError(message.errored ?? 'it has been read or closed')
  }
  message.on('error', onError).on('close', onClose)
  return () => {
    message.off('close', onClose)
    message.off('error', onError)
    // A stream that was read may fail again, without another listener
    if (message.readableDidRead) message.on('error', ignore)
  }
}

function ignore(): void {}
