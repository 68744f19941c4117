/**
 * Inboxes: arrays of messages, with methods that wait.
 *
 * @module
 */
import { MtaStsError } from '../errors.js'
import { type Duration, milliseconds } from './clock.js'
import type { WorldLog } from './log.js'
import type { ReceivedMessage } from './message.js'
import {
  type Check,
  checkFields,
  checkKeys,
  isOptions,
  isTextOrPattern,
  matchesText,
  must,
  shown,
  wholeFrom,
} from './named.js'
import { type AddressPattern, isPattern, matchesAddress } from './rules.js'
import { timers } from './timers.js'

/** Filter of messages. A string is a part of the text; in `from` and `to`, an address. */
export interface MailMatch {
  /** The address of MAIL FROM, or one of the header field From */
  from?: AddressPattern
  /** One of the addresses of RCPT TO */
  to?: AddressPattern
  /** A part of the subject, decoded */
  subject?: string | RegExp
  /** A part of the text */
  text?: string | RegExp
  /** A part of the HTML */
  html?: string | RegExp
  /** Header fields by their names in lower case */
  headers?: Readonly<Record<string, string | RegExp>>
}

/** Filter of messages: fields or a function. */
export type MailFilter = MailMatch | ((message: ReceivedMessage) => boolean)

/** Options of waiting, in real time; a number is milliseconds. */
export interface WaitOptions {
  /** Default 3 seconds */
  timeout?: Duration | number
}

/** Methods of an inbox. */
export interface Waiting {
  /**
   * Resolves to the oldest message that fits and that no `next()` has returned yet, or waits for
   * one. Rejects after the timeout, with `explain()` of the world.
   *
   * @example
   * const mail = await bob.inbox.next({ subject: /reset/i })
   */
  next(filter?: MailFilter, options?: WaitOptions): Promise<ReceivedMessage>
  /** Resolves to all messages that fit, as soon as there are `count` of them. */
  waitFor(count: number, filter?: MailFilter, options?: WaitOptions): Promise<ReceivedMessage[]>
  /**
   * Rejects if a message that fits, and that no `next()` has returned, is there or arrives in time.
   */
  none(options?: { within?: Duration | number; filter?: MailFilter }): Promise<void>
}

/** Messages, oldest first. */
export type Inbox = ReceivedMessage[] & Waiting

const TIMEOUT = 3000

/** The owner of an inbox. */
export interface InboxOwner {
  name: string
  log: WorldLog
  explain: () => string
  /** Throws for mail to a domain that was not made, in a strict world */
  check?: () => void
}

/** Makes an inbox. Its methods are not enumerable: it equals an array with the same messages. */
export function newInbox(owner: InboxOwner): Inbox {
  const list: ReceivedMessage[] = []
  const waiter = new Waiter(list, owner)
  const methods: Waiting = {
    next: (filter, options) => waiter.next(filter, options),
    waitFor: (count, filter, options) => waiter.waitFor(count, filter, options),
    none: (options) => waiter.none(options),
  }
  const properties = Object.entries(methods).map(([name, value]) => [name, { value }])
  return Object.defineProperties(list, Object.fromEntries(properties)) as Inbox
}

class Waiter {
  readonly #list: readonly ReceivedMessage[]
  readonly #owner: InboxOwner
  readonly #returned = new WeakSet<ReceivedMessage>()

  constructor(list: readonly ReceivedMessage[], owner: InboxOwner) {
    this.#list = list
    this.#owner = owner
  }

  async next(filter: MailFilter = {}, options: WaitOptions = {}): Promise<ReceivedMessage> {
    const fits = filterOf('next()', filter)
    const timeout = timeoutOf('next()', options)
    const find = () => this.#list.find((one) => !this.#returned.has(one) && fits(one))
    const found = await this.#until(find, timeout)
    if (found === undefined) throw this.#error(`No message${described(filter)} arrived`, timeout)
    this.#returned.add(found)
    await found.parse().catch(ignoreMissingParser)
    return found
  }

  async waitFor(
    count: number,
    filter: MailFilter = {},
    options: WaitOptions = {},
  ): Promise<ReceivedMessage[]> {
    wholeFrom(1)('waitFor(): the count', count)
    const fits = filterOf('waitFor()', filter)
    const timeout = timeoutOf('waitFor()', options)
    const all = () => this.#list.filter(fits)
    const found = await this.#until(() => (all().length >= count ? all() : undefined), timeout)
    if (found === undefined) {
      throw this.#error(`${all().length} of ${count} messages${described(filter)} arrived`, timeout)
    }
    await Promise.all(found.map((one) => one.parse().catch(ignoreMissingParser)))
    return found
  }

  async none(options: { within?: Duration | number; filter?: MailFilter } = {}): Promise<void> {
    checkKeys('none()', options, ['within', 'filter'])
    const { within = 0, filter = {} } = options
    const fits = filterOf('none()', filter)
    const timeout = milliseconds('none(): within', within)
    const find = () => this.#list.find((one) => !this.#returned.has(one) && fits(one))
    const found = await this.#until(find, timeout)
    if (found !== undefined) {
      throw this.#error(`A message${described(filter)} arrived: ${titleOf(found)}`, undefined)
    }
    this.#owner.check?.()
  }

  /** Resolves to the result of `find` as soon as there is one; to undefined after the timeout. */
  #until<T>(find: () => T | undefined, timeout: number): Promise<T | undefined> {
    const found = find()
    if (found !== undefined || timeout === 0) return Promise.resolve(found)
    return new Promise((resolve) => {
      const end = (result: T | undefined): void => {
        timers.clearTimeout(timer)
        forget()
        resolve(result)
      }
      const timer = timers.setTimeout(() => end(find()), timeout)
      const forget = this.#owner.log.onChange(() => {
        const arrived = find()
        if (arrived !== undefined) end(arrived)
      })
    })
  }

  #error(what: string, timeout: number | undefined): MtaStsError {
    const { name, explain } = this.#owner
    const time = timeout === undefined ? '' : ` within ${timeout} ms`
    return new MtaStsError(`${what} at ${name}${time}.\n${explain()}`, 'ENOMAIL')
  }
}

const MATCH: Readonly<Record<string, Check>> = {
  from: isPattern,
  to: isPattern,
  subject: isTextOrPattern,
  text: isTextOrPattern,
  html: isTextOrPattern,
  headers: (field, value) => {
    must('an object of header fields', isOptions)(field, value)
    for (const [name, text] of Object.entries(Object(value))) {
      isTextOrPattern(`${field}: ${name}`, text)
    }
  },
}

/** Throws a TypeError for a wrong filter. */
export function checkMatch(
  field: string,
  match: MailMatch,
  others: Readonly<Record<string, Check>> = {},
): void {
  checkFields(field, match, { ...MATCH, ...others })
}

/** Returns whether a message fits. Throws a TypeError for a wrong filter. */
export function filterOf(field: string, filter: MailFilter): (message: ReceivedMessage) => boolean {
  if (typeof filter === 'function') return filter
  checkMatch(field, filter)
  const { from, to, subject, text, html, headers = {} } = filter
  return (message) => {
    const { envelope } = message
    if (to !== undefined && !envelope.to.some((one) => matchesAddress(to, one))) return false
    if (from !== undefined) {
      const senders = [envelope.from, ...fromOf(message)]
      if (!senders.some((one) => matchesAddress(from, one))) return false
    }
    if (!inText(subject, () => message.subject)) return false
    if (!inText(text, () => message.text) || !inText(html, () => message.html)) return false
    return Object.entries(headers).every(([name, value]) =>
      inText(value, () => message.headers.get(name.toLowerCase())),
    )
  }
}

/** Describes a filter, with a space before. */
export function described(filter: MailFilter): string {
  if (typeof filter === 'function') return ' that fits'
  const words = Object.entries(filter)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${shown(value)}`)
  return words.length === 0 ? '' : ` with ${words.join(', ')}`
}

/** Describes a message. */
export function titleOf({ envelope, raw }: ReceivedMessage): string {
  const [, subject = '(no subject)'] = /^Subject:[ \t]*(.*)$/im.exec(raw) ?? []
  return `${shown(subject.trim())} from ${envelope.from || '<>'} to ${envelope.to.join(', ')}`
}

function inText(wanted: string | RegExp | undefined, text: () => string | undefined): boolean {
  if (wanted === undefined) return true
  return matchesText(wanted, text() ?? '')
}

/** The addresses of the header; none without postal-mime. */
function fromOf(message: ReceivedMessage): string[] {
  try {
    return message.from
  } catch (error) {
    ignoreMissingParser(error)
    return []
  }
}

function timeoutOf(field: string, options: WaitOptions): number {
  checkKeys(field, options, ['timeout'])
  const { timeout = TIMEOUT } = options
  return milliseconds(`${field}: timeout`, timeout)
}

/** Messages arrive without postal-mime too; reading their contents throws then. */
function ignoreMissingParser(error: unknown): void {
  if (!(error instanceof MtaStsError && error.code === 'EPEER')) throw error
}
