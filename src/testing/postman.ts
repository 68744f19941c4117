/**
 * Mail between hosts of the world: relayed messages and delivery status notifications. The
 * library's transport sends it, so that policies hold for it too.
 *
 * @module
 */
import { missingPackage } from '../errors.js'
import type { SenderOptions } from './api.js'
import type { WorldClock } from './clock.js'
import { type FailedRecipient, notificationOf } from './dsn.js'
import type { WorldLog } from './log.js'
import { domainOf } from './names.js'

/** A message to send. */
export interface Letter {
  /** The host that sends it */
  host: string
  from: string
  to: readonly string[]
  bytes: Buffer
}

export interface PostmanSetup {
  options: () => SenderOptions
  clock: WorldClock
  log: WorldLog
}

/** Timeout of a host that does not reply. */
const PATIENCE = 2000

interface Mailer {
  sendMail(mail: object): Promise<unknown>
  close(): void
}

export class Postman {
  readonly #setup: PostmanSetup
  readonly #mailers = new Map<string, Promise<Mailer>>()
  readonly #waiting: Letter[] = []
  readonly #endListening: () => void
  #underWay = 0
  #closed = false

  constructor(setup: PostmanSetup) {
    this.#setup = setup
    this.#endListening = setup.clock.onChange(() => this.#retry())
  }

  /** Whether no message is being sent. */
  get idle(): boolean {
    return this.#underWay === 0
  }

  /**
   * Sends a letter to each of its domains; keeps it for deferred recipients, bounces refused ones.
   */
  async send(letter: Letter): Promise<void> {
    const domains = new Map<string, string[]>()
    for (const address of letter.to) {
      const domain = domainOf(address)
      domains.set(domain, [...(domains.get(domain) ?? []), address])
    }
    await Promise.all([...domains.values()].map((to) => this.#sendOne({ ...letter, to })))
  }

  /** Sends the sender of a message a notification, from the null sender. */
  async notify(letter: Letter, recipients: readonly FailedRecipient[]): Promise<void> {
    if (letter.from === '' || recipients.length === 0) return
    const { host, from, bytes: message } = letter
    const bytes = notificationOf({ host, to: from, recipients, message })
    await this.send({ host, from: '', to: [from], bytes })
  }

  /** Drops deferred messages. */
  forget(): void {
    this.#waiting.length = 0
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#endListening()
    for (const mailer of this.#mailers.values()) (await mailer.catch(() => undefined))?.close()
    this.#mailers.clear()
  }

  async #sendOne(letter: Letter): Promise<void> {
    if (this.#closed) return
    this.#underWay++
    try {
      const { host, from, to, bytes } = letter
      const mailer = await this.#mailer(host)
      const outcome: unknown = await mailer
        .sendMail({ envelope: { from, to: [...to] }, raw: bytes })
        .catch((error: unknown) => error)
      if (!this.#closed) await this.#settle(letter, failuresOf(outcome, to))
    } finally {
      this.#underWay--
      this.#setup.log.changed()
    }
  }

  async #settle(letter: Letter, failures: readonly Failure[]): Promise<void> {
    const final = failures.filter(({ permanent }) => permanent)
    const deferred = failures.filter(({ permanent }) => !permanent).map(({ address }) => address)
    if (deferred.length > 0) this.#waiting.push({ ...letter, to: deferred })
    await this.notify(letter, final)
  }

  #retry(): void {
    for (const letter of this.#waiting.splice(0)) this.send(letter).catch(() => undefined)
  }

  #mailer(host: string): Promise<Mailer> {
    const known = this.#mailers.get(host)
    if (known !== undefined) return known
    const made = makeMailer({ ...this.#setup.options(), name: host })
    this.#mailers.set(host, made)
    return made
  }
}

async function makeMailer(options: SenderOptions): Promise<Mailer> {
  const { createTransport } = await nodemailer()
  const { mtaStsTransport } = await import('../nodemailer/transport.js')
  const transport = mtaStsTransport({
    ...options,
    connectionTimeout: PATIENCE,
    greetingTimeout: PATIENCE,
    socketTimeout: PATIENCE,
  })
  return createTransport(transport)
}

async function nodemailer(): Promise<typeof import('nodemailer')> {
  try {
    return await import('nodemailer')
  } catch (cause) {
    throw missingPackage('Relaying or bouncing', 'nodemailer', cause, '--save-dev ')
  }
}

interface Failure extends FailedRecipient {
  permanent: boolean
}

/** Returns the failures in the result of `sendMail`, or in its error. */
function failuresOf(outcome: unknown, to: readonly string[]): Failure[] {
  const fields: Outcome = typeof outcome === 'object' && outcome !== null ? outcome : {}
  const { rejectedErrors = [] } = fields
  if (rejectedErrors.length > 0) {
    return rejectedErrors.map((error) => failureOf(error, error.recipient ?? ''))
  }
  return outcome instanceof Error ? to.map((address) => failureOf(fields, address)) : []
}

interface Outcome {
  rejectedErrors?: Outcome[]
  recipient?: string
  permanent?: boolean
  response?: string
  message?: string
}

function failureOf({ permanent = false, response, message }: Outcome, address: string): Failure {
  const reply = (response ?? message ?? 'no reply').replaceAll(/\s+/g, ' ')
  const [, status = '5.0.0'] = /\b([245]\.\d{1,3}\.\d{1,3})\b/.exec(reply) ?? []
  return { address, permanent, reply, status }
}
