/**
 * Mail to domains that were not made, most often a mistake in a test.
 *
 * @module
 */
import { nearest } from '../option-checks.js'
import type { WorldLog } from './log.js'
import { domainOf } from './names.js'

const RESERVED = /(?:^|\.)(?:alias-[12]\.example)$/

/** Sources of strays. */
export interface StraySetup {
  log: WorldLog
  /** The domains that were made */
  domains: () => readonly string[]
  /** Names of hosts, which are queried too */
  hosts: () => readonly string[]
}

export class Strays {
  readonly #setup: StraySetup

  constructor(setup: StraySetup) {
    this.#setup = setup
  }

  /** Describes a recipient whose domain was not made; undefined for others. */
  of(recipient: string): string | undefined {
    return this.#wordsFor(domainOf(recipient), recipient)
  }

  /** Describes all mail to domains that were not made. */
  all(): string[] {
    const found = new Map<string, string>()
    for (const connection of this.#setup.log.of('smtp')) {
      for (const { from, text } of connection.lines) {
        const [, recipient] = (from === 'client' && /^RCPT TO:\s*<([^>]*)>/i.exec(text)) || []
        if (recipient !== undefined) this.#note(found, domainOf(recipient), recipient)
      }
    }
    for (const { name, type } of this.#setup.log.of('query')) {
      if (type === 'MX') this.#note(found, name, name)
    }
    return [...found.values()]
  }

  #note(found: Map<string, string>, domain: string, what: string): void {
    const words = this.#wordsFor(domain, what)
    if (words !== undefined && !found.has(domain)) found.set(domain, words)
  }

  #wordsFor(domain: string, what: string): string | undefined {
    const domains = this.#setup.domains()
    if (domain === '' || RESERVED.test(domain) || domains.includes(domain)) return undefined
    if (this.#setup.hosts().includes(domain)) return undefined
    const near = nearest(domain, domains, Number.POSITIVE_INFINITY)
    const hint = near === undefined ? '' : `; the nearest is ${near}`
    return `mail to ${what}, but no domain ${domain} was made in this world${hint}`
  }
}
