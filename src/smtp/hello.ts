/**
 * The beginning of a session: the host's greeting, EHLO, and HELO where EHLO is refused (RFC 5321
 * §3.1, §3.2). No reply in it is ever permanent.
 *
 * @module
 */
import type { Socket } from 'node:net'
import { builtins } from '../builtins.js'
import { checkKnown, MAX_TIMER, namesOf, optionalNumber, optionError } from '../option-checks.js'
import type { OpenOptions, OpenSettings } from './connection.js'
import { SmtpDialogue } from './dialogue.js'
import { replyError, SmtpError } from './errors.js'
import type { Reply, SmtpStep } from './reply.js'
import { CONNECTION_TIMEOUT, GREETING_TIMEOUT } from './timeouts.js'

/** A host's reply to EHLO. */
export interface Hello {
  /** Keywords in upper case, with their parameters */
  extensions: ReadonlyMap<string, string>
  lines: readonly string[]
}

/** A dialogue with the reply to its first EHLO. */
export interface Greeted {
  dialogue: SmtpDialogue
  greeting: Reply
  hello: Hello
}

/** Receives a function that aborts the current step with a reason; it replaces the previous one. */
export type OnBegin = (end: (reason: unknown) => void) => void

export class Greeter {
  readonly #settings: OpenSettings
  readonly #name: string
  readonly #timeout: number
  readonly #onBegin: OnBegin

  constructor(settings: OpenSettings, onBegin: OnBegin) {
    this.#settings = settings
    this.#name = ehloName(settings.name)
    const { commandTimeout, connectionTimeout = CONNECTION_TIMEOUT } = settings
    this.#timeout = commandTimeout ?? connectionTimeout
    this.#onBegin = onBegin
  }

  async greet(socket: Socket): Promise<Greeted> {
    const dialogue = this.#dialogue(socket)
    const { greetingTimeout = GREETING_TIMEOUT } = this.#settings
    const greeting = await dialogue.reply('CONN', greetingTimeout)
    if (greeting.code !== 220) throw refused(dialogue, 'CONN', greeting)
    const reply = await this.#ehlo(dialogue)
    return { dialogue, greeting, hello: await this.hello(dialogue, reply) }
  }

  /** Sends EHLO inside TLS, where there is no greeting. */
  again(socket: Socket): { dialogue: SmtpDialogue; reply: Promise<Reply> } {
    const dialogue = this.#dialogue(socket, { greeting: false })
    return { dialogue, reply: this.#ehlo(dialogue) }
  }

  /** Reads the reply to EHLO; sends HELO if the host refuses EHLO. */
  async hello(dialogue: SmtpDialogue, ehlo: Reply): Promise<Hello> {
    if (isGood(ehlo)) return { extensions: extensionsOf(ehlo), lines: ehlo.lines }
    if (ehlo.code < 500) throw refused(dialogue, 'EHLO', ehlo)
    const command = `HELO ${this.#name}`
    const helo = await dialogue.command(command, 'HELO', this.#timeout).catch((error) => {
      // If the host closes the connection now, its reply to EHLO says why
      throw error instanceof SmtpError ? refused(dialogue, 'EHLO', ehlo) : error
    })
    if (!isGood(helo)) throw refused(dialogue, 'HELO', helo)
    return { extensions: new Map(), lines: helo.lines }
  }

  #dialogue(socket: Socket, options?: { greeting: boolean }): SmtpDialogue {
    const dialogue = new SmtpDialogue(socket, this.#settings.log, options)
    this.#onBegin((reason) => dialogue.fail(() => reason))
    return dialogue
  }

  #ehlo(dialogue: SmtpDialogue): Promise<Reply> {
    return dialogue.command(`EHLO ${this.#name}`, 'EHLO', this.#timeout)
  }
}

/** Ends a dialogue after a reply before MAIL FROM; returns the error for that reply. */
export function refused(dialogue: SmtpDialogue, step: SmtpStep, reply: Reply): SmtpError {
  dialogue.close()
  return replyError(step, reply, { tlsFailed: false })
}

function isGood({ code }: Reply): boolean {
  return code >= 200 && code < 300
}

/**
 * Returns the extensions. The first line is a greeting (RFC 5321 §4.1.1.1), but some hosts omit it
 * and offer STARTTLS there.
 */
function extensionsOf({ lines }: Reply): ReadonlyMap<string, string> {
  const extensions = new Map<string, string>()
  for (const [index, line] of lines.entries()) {
    const [, word = '', parameters = ''] = /^\d{3}[- ]\s*([^\s=]+)[\s=]*(.*)$/s.exec(line) ?? []
    const keyword = word.toUpperCase()
    if (keyword === '' || (index === 0 && keyword !== 'STARTTLS')) continue
    extensions.set(keyword, parameters.trim())
  }
  return extensions
}

/** @throws TypeError when it is not a valid name for EHLO */
export function checkEhloName(name: string | undefined): string | undefined {
  if (name === undefined || (typeof name === 'string' && /^(?:[\w.-]+|\[[\w.:]+\])$/.test(name)))
    return name
  throw optionError('name', 'must be a host name or an address literal, for EHLO', name)
}

const OPEN_NAMES = namesOf<keyof OpenOptions>({
  name: true,
  localAddress: true,
  connectionTimeout: true,
  greetingTimeout: true,
  commandTimeout: true,
  signal: true,
  log: true,
})

/** @throws TypeError that names the option which is wrong */
export function checkOpenOptions(options: OpenOptions): void {
  checkKnown(options, OPEN_NAMES, {
    call: 'open()',
    elsewhere: { tls: 'the policy decides what TLS must prove' },
  })
  checkEhloName(options.name)
  for (const field of ['connectionTimeout', 'greetingTimeout', 'commandTimeout'] as const) {
    optionalNumber(options, field, { min: 1, max: MAX_TIMER })
  }
}

/** Returns the given name, the full name of this machine, or an address literal (RFC 5321 §4.1.4). */
function ehloName(given: string | undefined): string {
  const name = checkEhloName(given)
  const said = name ?? builtins.os.hostname()
  if (name === undefined && !/^[\w.-]*\.[\w.-]*$/.test(said)) return '[127.0.0.1]'
  return /^\d{1,3}(?:\.\d{1,3}){3}$/.test(said) ? `[${said}]` : said
}
