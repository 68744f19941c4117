/**
 * The domains and hosts of a mail world, and the inboxes of each message.
 *
 * @module
 */
import type { DomainOptions } from './api.js'
import { Domain, type MxRecord } from './domain.js'
import type { FailedRecipient } from './dsn.js'
import type { Surroundings } from './endpoint.js'
import type { MxOptions, SmartHostOptions } from './host-api.js'
import type { Inbox } from './inbox.js'
import { PARSED_AT_ONCE, type ReceivedMessage } from './message.js'
import { MxServer } from './mx-server.js'
import { canonicalName, domainOf } from './names.js'
import type { Network } from './network.js'
import { PolicyServer } from './policy-server.js'
import { PolicySite } from './policy-site.js'
import type { Postman } from './postman.js'
import { RuleBook } from './rules.js'
import { defineSmtpSession } from './smtp-session.js'

export interface PopulationSetup {
  surroundings: Surroundings
  network: Network
  postman: Postman
  inbox: Inbox
  check: () => void
  stray: (recipient: string) => string | undefined
}

const ATTACKER = 'mx.attacker.example'

export class Population {
  readonly worldRules = new RuleBook()
  readonly #setup: PopulationSetup
  readonly #Session: ReturnType<typeof defineSmtpSession>
  readonly #domains = new Map<string, Domain>()
  readonly #hosts = new Map<string, MxServer>()
  readonly #sites = new Map<string, PolicySite>()
  readonly #policyServers: Readonly<Record<4 | 6, PolicyServer>>

  constructor(setup: PopulationSetup) {
    this.#setup = setup
    const { peers, log, clock } = setup.surroundings
    this.#Session = defineSmtpSession(peers.SMTPConnection)
    const sites = this.#sites
    this.#policyServers = {
      4: new PolicyServer({ log, clock, sites, family: 4 }),
      6: new PolicyServer({ log, clock, sites, family: 6 }),
    }
  }

  get domainNames(): string[] {
    return [...this.#domains.keys()]
  }

  get hostNames(): string[] {
    return [...this.#hosts.keys(), ...this.#sites.keys()]
  }

  domain(name: string, options?: DomainOptions): Domain {
    const existing = this.#domains.get(name)
    if (existing !== undefined) {
      if (options === undefined) return existing
      throw new Error(`${name} is in this world already: change it with policy(), mx(), dns`)
    }
    const domain = this.#addDomain(name, options ?? {})
    this.#domains.set(name, domain)
    return domain
  }

  host(name: string, given?: SmartHostOptions | MxOptions, usual: SmartHostOptions = {}): MxServer {
    const existing = this.#hosts.get(name)
    if (existing !== undefined) {
      if (given === undefined) return existing
      throw new Error(`${name} is in this world already: make it before the domain that has it`)
    }
    const { surroundings, network, stray } = this.#setup
    const host: MxServer = network.settle(
      (addresses) =>
        new MxServer({
          name,
          addresses,
          options: { ...usual, ...given },
          surroundings,
          Session: this.#Session,
          worldRules: this.worldRules,
          stray,
          onMessage: (message) => this.#onMessage(message, host),
        }),
    )
    this.#hosts.set(name, host)
    return host
  }

  existingHost(name: string): MxServer | undefined {
    return this.#hosts.get(name)
  }

  forget(): void {
    for (const owner of [...this.#domains.values(), ...this.#hosts.values()]) owner.inbox.length = 0
  }

  reset(): void {
    this.worldRules.clear()
    for (const host of this.#hosts.values()) host.reset()
    for (const domain of this.#domains.values()) domain.reset()
  }

  close(): void {
    for (const server of Object.values(this.#policyServers)) server.close()
  }

  #addDomain(name: string, options: DomainOptions): Domain {
    const { surroundings, check } = this.#setup
    return new Domain({
      name,
      options,
      mx: this.#mxRecords(name, options.mx ?? ['mx']),
      attacker: () => this.#attacker(),
      policyHost: (body) => this.#policyHost(`mta-sts.${name}`, body),
      surroundings,
      check,
    })
  }

  /** Its certificate is good for its own name; its key is no other host's. */
  #attacker(): MxServer {
    const existing = this.#hosts.get(ATTACKER)
    if (existing !== undefined) return existing
    const attacker = this.host(ATTACKER)
    attacker.certificate({ san: [`DNS:${ATTACKER}`], key: 'attacker' })
    return attacker
  }

  #mxRecords(domain: string, mx: NonNullable<DomainOptions['mx']>): MxRecord[] {
    if (mx.length === 0) return [{ preference: 0, host: this.host(domain) }]
    return mx
      .map((entry, index) => {
        const { host, preference = (index + 1) * 10 } =
          typeof entry === 'string' ? { host: entry } : entry
        const name = canonicalName(host.includes('.') ? host : `${host}.${domain}`)
        return { preference, host: this.host(name) }
      })
      .sort((a, b) => a.preference - b.preference)
  }

  #policyHost(name: string, body: () => string | undefined): PolicySite {
    const { surroundings, network } = this.#setup
    const site = network.settle(
      (addresses) =>
        new PolicySite({ name, addresses, servers: this.#policyServers, surroundings, body }),
    )
    this.#sites.set(name, site)
    return site
  }

  /** Resolves when the reply to the message may be sent. */
  async #onMessage(message: ReceivedMessage, host: MxServer): Promise<void> {
    const { postman, surroundings } = this.#setup
    if (surroundings.peers.parser !== undefined && message.bytes.length <= PARSED_AT_ONCE) {
      // A message that postal-mime cannot read arrives too
      await message.parse().catch(() => undefined)
    }
    const { envelope, bytes } = message
    const letter = { host: host.name, from: envelope.from, to: envelope.to, bytes }
    const bounced = this.#bounced(message, host)
    if (bounced.length > 0) postman.notify(letter, bounced).catch(() => undefined)
    const addresses = bounced.map(({ address }) => address)
    const relayed = host.options.relays
      ? envelope.to.filter((to) => this.#isElsewhere(to, host))
      : []
    const kept = envelope.to.filter((to) => !addresses.includes(to) && !relayed.includes(to))
    host.inbox.push(message)
    if (kept.length > 0) this.#keep(message, kept, host)
    surroundings.log.changed()
    if (relayed.length > 0) await postman.send({ ...letter, to: relayed })
  }

  #keep(message: ReceivedMessage, recipients: readonly string[], host: MxServer): void {
    this.#setup.inbox.push(message)
    for (const name of new Set(recipients.map(domainOf))) {
      const domain = this.#domains.get(name)
      if (domain?.has(host)) domain.inbox.push(message)
    }
  }

  #bounced({ envelope }: ReceivedMessage, host: MxServer): FailedRecipient[] {
    return envelope.to.flatMap((address) => {
      const bounce = host.bounced(address)
      if (bounce === undefined) return []
      const { status = '5.1.1', reply = `550 ${status} Undeliverable` } = bounce
      return [{ address, status, reply }]
    })
  }

  /** Whether a recipient's domain is in the world and has other MX hosts than this one. */
  #isElsewhere(recipient: string, host: MxServer): boolean {
    const domain = this.#domains.get(domainOf(recipient))
    return domain !== undefined && !domain.has(host)
  }
}
