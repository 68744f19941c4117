/**
 * A mail world: domains, MX hosts, policy hosts, DNS and an authority, all on loopback, and a
 * sender's options that lead there.
 *
 * @module
 */
import { promises as dns } from 'node:dns'
import type {
  DomainOptions,
  ExposedWorld,
  MailWorld,
  MailWorldOptions,
  MxOptions,
  SenderOptions,
  SmartHostOptions,
  WorldDns,
} from './api.js'
import { CertificateAuthority } from './authority.js'
import { WorldClock } from './clock.js'
import { DnsServer } from './dns-server.js'
import { Domain, type MxRecord } from './domain.js'
import type { Surroundings } from './endpoint.js'
import { exposeWorld } from './expose.js'
import {
  type Dial,
  type DnsQuery,
  type LogEntry,
  type MxConnection,
  type PolicyGet,
  type ReceivedMessage,
  WorldLog,
} from './log.js'
import { Loopback } from './loopback.js'
import { MxServer } from './mx-server.js'
import { canonicalName, domainOf } from './names.js'
import { Network } from './network.js'
import { loadPeers } from './optional-packages.js'
import { PolicyServer } from './policy-server.js'
import { PolicySite } from './policy-site.js'
import { defineSmtpSession } from './smtp-session.js'
import { worldDns } from './world-dns.js'
import { Zone } from './zone.js'

interface Parts {
  surroundings: Surroundings
  network: Network
  dnsServer: DnsServer
  options: MailWorldOptions
}

const ATTACKER = 'mx.attacker.example'

class World implements MailWorld {
  readonly clock: WorldClock
  readonly dns: WorldDns
  readonly inbox: ReceivedMessage[] = []
  readonly #parts: Parts
  readonly #policyServer: PolicyServer
  readonly #Session: ReturnType<typeof defineSmtpSession>
  readonly #network: Network
  readonly #domains = new Map<string, Domain>()
  readonly #mxHosts = new Map<string, MxServer>()
  readonly #resolver: dns.Resolver
  readonly #exposed = new Set<ExposedWorld>()
  #closed: Promise<void> | undefined

  constructor(parts: Parts) {
    this.#parts = parts
    const { surroundings, network, dnsServer } = parts
    this.#network = network
    this.clock = surroundings.clock
    this.dns = worldDns(surroundings.zone, dnsServer.port)
    this.#policyServer = new PolicyServer(surroundings)
    this.#Session = defineSmtpSession(surroundings.peers.SMTPConnection)
    this.#resolver = new dns.Resolver({ timeout: parts.options.dnsTimeout ?? 500, tries: 2 })
    this.#resolver.setServers([`127.0.0.1:${dnsServer.port}`])
  }

  domain(name: string, options?: DomainOptions): Domain {
    const key = canonicalName(name)
    const existing = this.#domains.get(key)
    if (existing !== undefined) {
      if (options === undefined) return existing
      throw new Error(`${key} is in this world already: change it with policy(), mx(), dns`)
    }
    const domain = this.#addDomain(key, options ?? {})
    this.#domains.set(key, domain)
    return domain
  }

  mx(name: string, options?: MxOptions): MxServer {
    return this.#host(canonicalName(name), options)
  }

  smartHost(name: string, options?: SmartHostOptions): MxServer {
    return this.#host(canonicalName(name), options, { port: 587 })
  }

  options(): SenderOptions {
    return {
      name: this.#parts.options.name ?? 'sender.example',
      resolver: this.#resolver,
      ca: this.ca,
      connect: (target) => this.#network.connect(target),
      now: this.clock.now,
    }
  }

  get ca(): string {
    return this.#parts.surroundings.authority.root
  }

  get log(): readonly LogEntry[] {
    return this.#log.entries
  }

  get queries(): DnsQuery[] {
    return this.#log.of('query')
  }

  get gets(): PolicyGet[] {
    return this.#log.of('get')
  }

  get connections(): MxConnection[] {
    return this.#log.of('smtp')
  }

  get dials(): Dial[] {
    return this.#log.of('dial')
  }

  forget(): void {
    this.#log.entries.length = 0
    const owners = [this, ...this.#domains.values(), ...this.#mxHosts.values()]
    for (const { inbox } of owners) inbox.length = 0
  }

  async expose(): Promise<ExposedWorld> {
    const { connect } = this.options()
    const exposed = await exposeWorld({ connect, dnsPort: this.dns.port })
    this.#exposed.add(exposed)
    return exposed
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  get #log(): WorldLog {
    return this.#parts.surroundings.log
  }

  async #close(): Promise<void> {
    this.#resolver.cancel()
    await Promise.all([...this.#exposed].map((exposed) => exposed.close()))
    await Promise.all([this.#network.close(), this.#parts.dnsServer.close()])
    this.#policyServer.close()
  }

  #addDomain(name: string, options: DomainOptions): Domain {
    return new Domain({
      name,
      options,
      mx: this.#mxRecords(name, options.mx ?? ['mx']),
      attacker: () => this.#host(ATTACKER),
      policyHost: (body) => this.#policyHost(`mta-sts.${name}`, body),
      surroundings: this.#parts.surroundings,
    })
  }

  #mxRecords(domain: string, mx: NonNullable<DomainOptions['mx']>): MxRecord[] {
    if (mx.length === 0) return [{ preference: 0, host: this.#host(domain) }]
    return mx
      .map((entry, index) => {
        const { host, preference = (index + 1) * 10 } =
          typeof entry === 'string' ? { host: entry } : entry
        const name = canonicalName(host.includes('.') ? host : `${host}.${domain}`)
        return { preference, host: this.#host(name) }
      })
      .sort((a, b) => a.preference - b.preference)
  }

  #host(name: string, given?: SmartHostOptions, usual: SmartHostOptions = {}): MxServer {
    const existing = this.#mxHosts.get(name)
    if (existing !== undefined) {
      if (given === undefined) return existing
      throw new Error(`${name} is in this world already: make it before the domain that has it`)
    }
    const host = this.#network.settle(
      (addresses) =>
        new MxServer({
          name,
          addresses,
          options: { ...usual, ...given },
          surroundings: this.#parts.surroundings,
          Session: this.#Session,
          onMessage: (message) => this.#onMessage(message, host),
        }),
    )
    this.#mxHosts.set(name, host)
    return host
  }

  #policyHost(name: string, body: () => string | undefined): PolicySite {
    const { surroundings } = this.#parts
    const server = this.#policyServer
    return this.#network.settle(
      (addresses) => new PolicySite({ name, addresses, server, surroundings, body }),
    )
  }

  #onMessage(message: ReceivedMessage, host: MxServer): void {
    this.inbox.push(message)
    const domains = new Set(message.envelope.to.map(domainOf))
    for (const name of domains) {
      const domain = this.#domains.get(name)
      if (domain?.has(host)) domain.inbox.push(message)
    }
  }
}

/** Begun at import, so that it is done when the first world is made; what fails is told there. */
const loading = loadPeers()
loading.catch(() => undefined)

/**
 * Makes a mail world: a DNS server, an HTTPS policy host, SMTP servers and a certificate authority
 * on loopback, each as real as it gets. Nothing is shared between worlds; close each of them.
 *
 * @example
 * const world = await createMailWorld()
 * const bob = world.domain('bob.example', { mode: 'enforce' })
 * const transporter = nodemailer.createTransport(mtaStsTransport(world.options()))
 *
 * bob.mx().fails('wrong-name')
 * await expect(transporter.sendMail(message)).rejects.toMatchObject({ code: 'EMTASTS' })
 * await world.close()
 */
export async function createMailWorld(options: MailWorldOptions = {}): Promise<MailWorld> {
  const peers = await loading
  const clock = new WorldClock()
  const log = new WorldLog()
  const zone = new Zone()
  const [authority, loopback, dnsServer] = await Promise.all([
    CertificateAuthority.create(),
    Loopback.open(),
    DnsServer.open({
      dnsPacket: peers.dnsPacket,
      zone,
      onQuery: (query) => log.entries.push({ kind: 'query', ...query, at: clock.now() }),
    }),
  ])
  const surroundings = { peers, authority, clock, log, zone }
  const network = new Network(surroundings, loopback)
  return new World({ surroundings, network, dnsServer, options })
}
