/**
 * A message as it is sent: its body, its envelope, and what it asks of TLS itself (RFC 8689).
 *
 * @module
 */
import { isAscii } from 'node:buffer'
import { Readable } from 'node:stream'
import type { DeliveryContext } from '../delivery/attempt.js'
import type { TlsDemand } from '../delivery/required-security.js'
import { onAbort } from '../net/deadline.js'
import type { SmtpEnvelope } from '../smtp/connection.js'
import { dsnParameters } from '../smtp/envelope.js'
import { StuffedMessage } from '../smtp/stuffing.js'
import { hasBytes } from './compose.js'
import { type Body, MessageSource } from './message-body.js'
import type { MailNode, MailToSend } from './types.js'

export class Message {
  readonly source: MessageSource
  readonly demand: TlsDemand
  /** Follows the user's signal, with one listener for all domains */
  readonly signal: AbortSignal | undefined
  /** With all recipients */
  readonly envelope: ReturnType<MailNode['getEnvelope']>
  readonly #dsn: SmtpEnvelope['dsn']
  readonly #hasBytes: boolean
  #release = () => {}

  /** @throws SmtpError `EENVELOPE` for DSN options that no host can get */
  constructor(mail: MailToSend) {
    const { data } = mail
    this.#dsn = dsnOf(data.dsn || ofEnvelope(data, 'dsn'))
    // A wrong option ends the message before any connection
    dsnParameters(this.#dsn)
    // Parses the addresses: once, not for every domain and attempt
    this.envelope = mail.message.getEnvelope()
    this.#hasBytes = hasBytes(mail.message)
    this.source = new MessageSource(mail.message)
    this.demand = demandOf(mail)
    if (mail.data.signal) this.signal = this.#follow(mail.data.signal)
  }

  /** Stops listening to the user's signal, and reading the content. */
  release(): void {
    this.#release()
    this.source.release()
  }

  #follow(signal: AbortSignal): AbortSignal {
    const controller = new AbortController()
    this.#release = onAbort(signal, () => controller.abort(signal.reason))
    return controller.signal
  }

  /** Returns the envelope for these recipients. */
  envelopeFor(recipients: readonly string[], { content, size }: Body): SmtpEnvelope {
    return {
      from: this.envelope.from,
      to: recipients,
      use8BitMime: this.#may8Bit(content),
      ...(size === undefined ? {} : { size }),
      ...(this.#dsn === undefined ? {} : { dsn: this.#dsn }),
      ...(this.demand === 'require' ? { requireTls: true } : {}),
    }
  }

  #may8Bit(content: Body['content']): boolean {
    if (content instanceof Readable) return this.#hasBytes
    return !(content instanceof StuffedMessage ? content.isAscii : isAscii(content))
  }

  /** Returns the body for one attempt; ends the delivery when it cannot be read any more. */
  open(context: DeliveryContext): Body {
    try {
      return this.source.open()
    } catch (error) {
      return context.stop(error)
    }
  }
}

/** Returns delivery status options by their SMTP names (RFC 3461); Nodemailer has its own, too. */
function dsnOf(dsn: unknown): SmtpEnvelope['dsn'] {
  if (!dsn) return undefined
  // Anything wrong is refused by dsnParameters
  if (typeof dsn !== 'object') return dsn as object
  const { ret, return: returned, envid, id, notify, orcpt, recipient } = dsn as DsnOptions
  const asked = String(ret ?? returned ?? '').toUpperCase()
  const part = asked === '' ? undefined : (RETURNED[asked] ?? (asked as 'FULL'))
  const original = recipient ?? orcpt
  const name = envid ?? id
  return {
    ...(part === undefined ? {} : { ret: part }),
    ...(name === undefined ? {} : { envid: typeof name === 'number' ? `${name}` : name }),
    ...(notify === undefined ? {} : { notify }),
    ...(original === undefined ? {} : { orcpt: original }),
  }
}

type DsnOptions = NonNullable<SmtpEnvelope['dsn']> & {
  return?: string
  id?: string
  recipient?: string
}

/** Returns a field that Nodemailer also takes in the envelope of a message. */
function ofEnvelope({ envelope }: Pick<MailToSend['data'], 'envelope'>, field: string): unknown {
  return envelope ? Reflect.get(Object(envelope), field) : undefined
}

const RETURNED: Record<string, 'HDRS' | 'FULL'> = {
  HDRS: 'HDRS',
  HEADERS: 'HDRS',
  FULL: 'FULL',
  BODY: 'FULL',
}

/** Whether an error is about the message itself, its envelope or its content: no host gets it. */
export function isOwnFault(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('code' in error)) return false
  const replied = 'responseCode' in error && error.responseCode !== undefined
  return !replied && OWN_FAULTS.has(String(error.code))
}

const OWN_FAULTS = new Set(['EENVELOPE', 'EMESSAGE', 'ESTREAM', 'EFILEACCESS', 'EURLACCESS'])

/** The parts of a mail that say what it asks of TLS. */
interface MailAsking {
  data?: Pick<MailToSend['data'], 'requireTLSExtensionEnabled' | 'envelope'>
  message: { getHeader?(name: string): unknown }
}

/** Returns what a mail asks of TLS itself: RFC 8689 §2 and §3; REQUIRETLS wins where both are asked for. */
export function demandOf({ data, message }: MailAsking): TlsDemand {
  const field = 'requireTLSExtensionEnabled'
  if (data && (data[field] || ofEnvelope(data, field))) return 'require'
  const header: unknown = message.getHeader?.('TLS-Required')
  return typeof header === 'string' && /^\s*no\s*$/i.test(header) ? 'optional' : 'policy'
}
