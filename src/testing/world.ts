/**
 * A mail world: domains, MX hosts, policy hosts, DNS and an authority on loopback, and options for
 * senders.
 *
 * @module
 */
import type { promises as dns } from 'node:dns'
import type {
  DomainOptions,
  ExposedWorld,
  MailWorld,
  MailWorldOptions,
  SenderOptions,
  WorldDns,
} from './api.js'
import { type ChaosOptions, chaotic, checkChaos } from './chaos.js'
import type { WorldClock } from './clock.js'
import type { DnsServer } from './dns-server.js'
import { checkDomainOptions, type Domain } from './domain.js'
import type { Surroundings } from './endpoint.js'
import { environment, type ProcessEnvironment, RootFile } from './environment.js'
import { explained } from './explain.js'
import { exposeWorld } from './expose.js'
import { Gate } from './gate.js'
import type { MxHost, MxOptions, SmartHostOptions } from './host-api.js'
import { checkHostOptions, MX_OPTIONS } from './host-options.js'
import { type Inbox, newInbox } from './inbox.js'
import type { Judged } from './judged.js'
import type { Dial, DnsQuery, LogEntry, MxConnection, PolicyGet } from './log.js'
import type { MxServer } from './mx-server.js'
import { checkFields, checkNoArguments, isFlag, must, shown, wholeFrom } from './named.js'
import { canonicalName } from './names.js'
import type { Network } from './network.js'
import { type NodemailerOptions, nodemailerOptions } from './nodemailer-options.js'
import { Population } from './population.js'
import { Postman } from './postman.js'
import { seeded } from './random.js'
import { worldResolver } from './resolver.js'
import { type FaultHandle, Standing } from './standing.js'
import { Strays } from './strays.js'
import { timers } from './timers.js'
import { worldDns } from './world-dns.js'

export interface WorldParts {
  surroundings: Surroundings
  network: Network
  dnsServer: DnsServer
  options: MailWorldOptions
  /** Sets the source of random numbers of the world */
  seed: (random: () => number) => void
}

/** The default host for submission. */
const OWN_SMART_HOST = 'smtp.sender.example'

/** Interval of checks whether a world is idle, in milliseconds. */
const POLL = 5

export class World implements MailWorld {
  readonly clock: WorldClock
  readonly dns: WorldDns
  readonly inbox: Inbox
  readonly #parts: WorldParts
  readonly #network: Network
  readonly #population: Population
  readonly #strays: Strays
  readonly #postman: Postman
  readonly #resolver: dns.Resolver
  readonly #rootFile = new RootFile()
  /** Also what is being exposed */
  readonly #exposed = new Set<Promise<ExposedWorld>>()
  #gate: Promise<Gate> | undefined
  #closed: Promise<void> | undefined

  constructor(parts: WorldParts) {
    this.#parts = parts
    const { surroundings, network, dnsServer } = parts
    const { clock, zone, register, log } = surroundings
    this.#network = network
    this.clock = clock
    const assertOpen = (what: string) => this.assertOpen(what)
    this.dns = worldDns({ zone, port: dnsServer.port, clock, register, assertOpen })
    const check = () => this.#check()
    const explain = () => this.explain()
    this.inbox = newInbox({ name: 'any host', log, explain, check })
    this.#postman = new Postman({ options: () => this.options(), clock, log })
    this.#strays = new Strays({
      log,
      domains: () => this.#population.domainNames,
      hosts: () => this.#population.hostNames,
    })
    this.#population = new Population({
      surroundings,
      network,
      postman: this.#postman,
      inbox: this.inbox,
      check,
      stray: (recipient) => (parts.options.strict ? this.#strays.of(recipient) : undefined),
    })
    this.#resolver = worldResolver(dnsServer.port, parts.options.dnsTimeout)
  }

  domain(name: string, options?: DomainOptions): Domain {
    this.assertOpen('domain()')
    if (options !== undefined) checkDomainOptions(options)
    return this.#population.domain(canonicalName(name, 'domain(): the name'), options)
  }

  mx(name: string, options?: MxOptions): MxServer {
    this.assertOpen('mx()')
    if (options !== undefined) checkFields('mx(): the options', options, MX_OPTIONS)
    return this.#population.host(canonicalName(name, 'mx(): the name'), options)
  }

  smartHost(name: string, options?: SmartHostOptions): MxServer {
    this.assertOpen('smartHost()')
    if (options !== undefined) checkHostOptions('smartHost(): the options', options)
    return this.#population.host(canonicalName(name, 'smartHost(): the name'), options, {
      port: 587,
    })
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

  nodemailer(host?: MxHost): NodemailerOptions {
    this.assertOpen('nodemailer()')
    const { name, ca, connect } = this.options()
    return nodemailerOptions({ host: this.#submission(host), name, ca, connect })
  }

  async env(host?: MxHost): Promise<ProcessEnvironment> {
    this.assertOpen('env()')
    const submission = this.#submission(host)
    this.#gate ??= Gate.open({
      clock: this.clock,
      dial: (target) => this.#network.dial(target),
    })
    const [port, gate] = await Promise.all([submission.listen(), this.#gate])
    this.assertOpen('env()')
    const rootFile = this.#rootFile.path(this.ca)
    const { name } = this.options()
    const { ahead } = this.clock
    const invitation = { ...gate.ports, dns: this.dns.port, name, ca: rootFile, ahead }
    return environment({ port, options: submission.options, rootFile, invitation })
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

  get strays(): string[] {
    return this.#strays.all()
  }

  explain(): string {
    const { register } = this.#parts.surroundings
    return explained({
      log: this.log,
      inbox: this.inbox,
      inForce: register.inForce(),
      strays: this.strays,
    })
  }

  judged(): Judged {
    const { inbox, connections, strays } = this
    return { name: 'The world', inbox, connections, strays, explain: () => this.explain() }
  }

  chaos(options: ChaosOptions): FaultHandle {
    this.assertOpen('chaos()')
    checkChaos(options)
    const random = seeded(options.seed ?? 1)
    this.#parts.seed(random)
    const title = `chaos ${shown(options)}`
    const standing = new Standing({ title, clock: this.clock })
    this.#population.worldRules.add(standing, chaotic(options, random))
    return standing
  }

  verify(...given: unknown[]): void {
    checkNoArguments('verify()', given)
    const unmet = this.#parts.surroundings.register.unmet()
    const wrong = [
      ...unmet.map((what) => `was set and never met: ${what}`),
      ...(this.#parts.options.strict ? this.strays : []),
    ]
    if (wrong.length === 0) return
    throw new Error(`${wrong.join('\n')}\n${this.explain()}`)
  }

  async idle(...given: unknown[]): Promise<void> {
    checkNoArguments('idle()', given)
    do await timers.wait(POLL)
    while (!this.#postman.idle || this.connections.some(isBusy))
  }

  forget(...given: unknown[]): void {
    checkNoArguments('forget()', given)
    this.#log.entries.length = 0
    this.inbox.length = 0
    this.#population.forget()
  }

  reset(...given: unknown[]): void {
    this.assertOpen('reset()')
    checkNoArguments('reset()', given)
    const { zone, register } = this.#parts.surroundings
    zone.reset()
    register.clear()
    this.#population.reset()
    this.#postman.forget()
    this.clock.reset()
    this.#parts.seed(seeded(1))
    this.forget()
  }

  async expose(...given: unknown[]): Promise<ExposedWorld> {
    this.assertOpen('expose()')
    checkNoArguments('expose()', given)
    const { connect } = this.options()
    const exposing = exposeWorld({ connect, dnsPort: this.dns.port })
    this.#exposed.add(exposing)
    const exposed = await exposing
    this.assertOpen('expose()')
    return exposed
  }

  assertOpen(what: string): void {
    if (this.#closed !== undefined) throw new Error(`${what}: this mail world is closed`)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  get #log(): Surroundings['log'] {
    return this.#parts.surroundings.log
  }

  async #close(): Promise<void> {
    const { ports } = this.#parts.surroundings
    this.#resolver.cancel()
    await Promise.all([...this.#exposed].map(closeWhenOpen))
    await Promise.all([
      this.#postman.close(),
      this.#network.close(),
      this.#parts.dnsServer.close(),
      ...[...ports].map(closeWhenOpen),
      ...(this.#gate ? [closeWhenOpen(this.#gate)] : []),
    ])
    this.#population.close()
    this.#rootFile.remove()
    // Sockets and servers are closed at the end of a turn
    await timers.turn()
    await timers.turn()
    if (this.#parts.options.strict) this.#check()
  }

  #check(): void {
    if (!this.#parts.options.strict) return
    const [stray] = this.strays
    if (stray !== undefined) throw new Error(`${stray}\n${this.explain()}`)
  }

  #submission(host: MxHost | undefined): MxServer {
    const name = host?.name ?? OWN_SMART_HOST
    const existing = this.#population.existingHost(name)
    if (host !== undefined) {
      must('one of this world, such as world.smartHost(name)', (one) => one === existing)(
        'The host',
        host,
      )
    }
    return existing ?? this.smartHost(name, { relays: true })
  }
}

/** Closes a part of the world; one that could not be opened needs no closing. */
async function closeWhenOpen(opening: Promise<{ close(): Promise<void> }>): Promise<void> {
  const part = await opening.catch(() => undefined)
  await part?.close()
}

const WORLD = {
  name: must('a name without spaces', isEhloName),
  dnsTimeout: wholeFrom(1),
  strict: isFlag,
}

function isEhloName(value: unknown): boolean {
  return typeof value === 'string' && /^[!-~]+$/.test(value)
}

/** Throws a TypeError for wrong options of a world. */
export function checkWorldOptions(options: MailWorldOptions): void {
  checkFields('createMailWorld()', options, WORLD)
}

function isBusy({ closed, lines }: MxConnection): boolean {
  const last = lines.at(-1)
  return (
    !closed && (last === undefined || last.from === 'client' || /^(?:354|334|220)/.test(last.text))
  )
}
