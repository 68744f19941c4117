/**
 * The plugin itself: three public hooks. `sender:fetch` plans, `sender:connect` opens the
 * connection, `sender:headers` checks, before each MAIL FROM, that the connection has proved what
 * this message demands.
 *
 * @module
 */
import type { Socket } from 'node:net'
import { format } from 'node:util'
import type { DeliveryContext } from '../delivery/attempt.js'
import type { Candidate } from '../delivery/candidate.js'
import type { DeliveryPlan } from '../delivery/plan.js'
import type { DeliverySummary } from '../delivery/record.js'
import { MtaStsError } from '../errors.js'
import type { Logger } from '../logger.js'
import { describeDelivery, isRemarkable } from '../plugins/account.js'
import { hideStartTls } from '../plugins/hello.js'
import { PluginService } from '../plugins/service.js'
import { type PluginSettings, readSettings } from '../plugins/settings.js'
import { redisStore } from '../policy/stores/redis.js'
import type { OpenOptions, SmtpConnection } from '../smtp/connection.js'
import { unproved, zoneError } from './failure.js'
import {
  type ConnectOptions,
  knownHost,
  type Zone,
  type ZoneApp,
  type ZoneConnection,
  type ZoneDelivery,
  type ZoneHost,
  type ZoneMx,
} from './host.js'
import { asksForNothing, policyKey, requirementKey } from './requirement.js'

/** The name of the plugin in ZoneMTA's log. */
export const TITLE = 'MTA-STS'

/** The source of the settings, for messages. */
export const FILE = 'the configuration of mta-sts/zone-mta'

/** The decision of `sender:fetch` for a delivery. */
type Decision =
  /** Another plugin, or the host of the zone, has chosen the route */
  | { kind: 'left-alone' }
  /** The operator wants no TLS in this zone, and nothing else demands it */
  | { kind: 'without-tls'; policy: string }
  | {
      kind: 'protected'
      /**
       * The object in `delivery.mx`; a different one means that another plugin has changed the
       * route
       */
      mx: ZoneMx[]
      key: string
      policy: string
      /** Opened while there was no candidate yet */
      opened?: Opened | undefined
    }

interface Opened {
  connection: SmtpConnection
  plan: DeliveryPlan
}

interface Proof {
  key: string
  connection: SmtpConnection
  /** The connection had proofs, which may expire */
  isProved: boolean
}

export class ZonePlugin {
  readonly #app: ZoneApp
  readonly #host: ZoneHost
  readonly #settings: PluginSettings
  readonly #service: Promise<PluginService>
  readonly #decisions = new WeakMap<ZoneDelivery, Decision>()
  /** The proofs of sockets given to ZoneMTA */
  readonly #proofs = new WeakMap<object, Proof>()

  /** @throws an error that names the fault in the settings, or in this ZoneMTA */
  constructor(app: ZoneApp) {
    this.#app = app
    this.#host = knownHost()
    this.#settings = settingsOf(app)
    this.#checkPorts()
    const logger = loggerOf(app)
    const setup = { settings: this.#settings, logger, ownStore: this.#ownStore() }
    PluginService.check(setup)
    app.addHook('sender:fetch', (delivery) => this.#fetch(delivery).catch(refuse))
    app.addHook('sender:connect', (delivery, options) =>
      this.#connect(delivery, options).catch(refuse),
    )
    app.addHook('sender:headers', (delivery, connection) =>
      this.#headers(delivery, connection).catch(refuse),
    )
    this.#service = PluginService.start(setup)
  }

  /** Resolves once messages can be protected; hooks wait for it. */
  async ready(): Promise<void> {
    await this.#service
  }

  #ownStore() {
    const redis = this.#app.db?.redis
    const { prefix, store } = this.#settings
    if (store !== undefined || !redis) return undefined
    return redisStore(redis, prefix === undefined ? {} : { prefix })
  }

  /** Throws for a zone's own port, which would bypass the plan. */
  #checkPorts(): void {
    for (const [name, zone] of Object.entries(this.#host.zones())) this.#checkPort(name, zone)
  }

  #checkPort(name: string, { host, port: its }: Zone): void {
    const { port = 25 } = this.#settings.options
    if (host || its === undefined || Number(its) === port) return
    const must = `set port = ${its} in ${FILE}, too`
    throw new MtaStsError(`The zone ${name} delivers to port ${its}: ${must}`, 'ECONFIG')
  }

  async #fetch(delivery: ZoneDelivery): Promise<void> {
    const zone = this.#host.zoneOf(delivery)
    if (zone.host || isRouted(delivery)) {
      this.#decisions.set(delivery, { kind: 'left-alone' })
      return
    }
    this.#checkPort(delivery.sendingZone ?? 'of this process', zone)
    const { sts } = await this.#service
    const plan = await sts.plan(delivery.domain)
    const policy = policyKey(plan.lookup)
    if (zone.ignoreTLS && asksForNothing(plan)) {
      this.#decisions.set(delivery, { kind: 'without-tls', policy })
      return
    }
    const hasCandidates = plan.candidates.length > 0
    const opened = hasCandidates ? undefined : await this.#open(delivery, {})
    this.#protect(delivery, opened?.plan ?? plan, opened)
  }

  #protect(delivery: ZoneDelivery, plan: DeliveryPlan, opened: Opened | undefined): void {
    const addresses = plan.candidates.flatMap((candidate) => candidate.addresses)
    const ignoresIPv6 = Boolean(delivery.dnsOptions?.ignoreIPv6)
    // One host, so that one connection is opened for all candidates. Its addresses are real: a host
    // without any would bounce. Connection errors are stored by its name
    const mx: ZoneMx = {
      exchange: delivery.domain,
      priority: 0,
      A: addresses.filter((address) => !address.includes(':')),
      AAAA: ignoresIPv6 ? [] : addresses.filter((address) => address.includes(':')),
    }
    if (mx.A.length + mx.AAAA.length === 0) {
      opened?.connection.close()
      throw unproved(
        delivery.domain,
        'its MX hosts have IPv6 addresses only, which the zone ignores',
      )
    }
    const decision: Decision = {
      kind: 'protected',
      mx: [mx],
      key: requirementKey(plan),
      policy: policyKey(plan.lookup),
      opened,
    }
    this.#decisions.set(delivery, decision)
    delivery.mx = decision.mx
    delivery.skipSTS = true
    // The sockets for ZoneMTA already have TLS
    delivery.mxSecure = false
    this.#keyConnections(delivery, decision)
  }

  /** Adds the requirement to the connection key, unless a later plugin has changed the route. */
  #keyConnections(
    delivery: ZoneDelivery,
    decision: Extract<Decision, { kind: 'protected' }>,
  ): void {
    let other: string | undefined
    Object.defineProperty(delivery, 'connectionKey', {
      configurable: true,
      enumerable: true,
      get: () =>
        other ?? (delivery.mx === decision.mx ? sourceKey(delivery, decision.key) : undefined),
      set: (value: string | undefined) => {
        other = value === sourceKey(delivery, decision.key) ? undefined : value
      },
    })
  }

  async #connect(delivery: ZoneDelivery, options: ConnectOptions): Promise<void> {
    const decision = this.#decisions.get(delivery)
    if (decision?.kind !== 'protected' || delivery.mx !== decision.mx) return
    const { connection, plan } = decision.opened ?? (await this.#open(delivery, options))
    decision.opened = undefined
    // The policy may have changed since the message was fetched
    decision.key = requirementKey(plan)
    decision.policy = policyKey(plan.lookup)
    const isProved = connection.proved.length > 0
    const socket: Socket = connection.handOver()
    hideStartTls(socket)
    this.#proofs.set(socket, { key: decision.key, connection, isProved })
    options.socket = socket
  }

  async #open(delivery: ZoneDelivery, options: ConnectOptions): Promise<Opened> {
    const { sts } = await this.#service
    const open = this.#openOptions(delivery, options)
    const attempt = async (_: Candidate, context: DeliveryContext): Promise<Opened> => {
      return { connection: await context.open(open), plan: context.plan }
    }
    let account: DeliverySummary | undefined
    const onEnd = (summary: DeliverySummary) => {
      account = summary
      this.#log(summary)
    }
    return sts.deliver(delivery.domain, attempt, { onEnd }).catch((error) => {
      throw zoneError(error, account)
    })
  }

  #openOptions(delivery: ZoneDelivery, options: ConnectOptions): OpenOptions {
    const { localAddress, localHostname } = options
    const isAny = localAddress === '0.0.0.0' || localAddress === '::'
    const isBound = localAddress !== undefined && (!isAny || delivery.dnsOptions?.ignoreIPv6)
    return {
      ...(localHostname ? { name: localHostname } : {}),
      ...this.#settings.open,
      ...(isBound ? { localAddress } : {}),
    }
  }

  async #headers(delivery: ZoneDelivery, connection: ZoneConnection): Promise<void> {
    if (connection.http) return
    const decision = this.#decisions.get(delivery)
    if (!decision) throw unproved(delivery.domain, 'it was fetched before the plugin was ready')
    if (decision.kind === 'left-alone') return
    if (decision.kind === 'protected') {
      if (delivery.mx !== decision.mx) return
      const proof = this.#proofs.get(Object(connection.options.connection))
      const hasExpired = proof?.isProved && proof.connection.proved.length === 0
      if (proof?.key !== decision.key || hasExpired) {
        throw unproved(delivery.domain, 'the connection has not proved what the message asks for')
      }
      // For ZoneMTA's log
      const { mxHost, address, tls } = proof.connection
      connection.secure = tls !== false
      Object.assign(connection.options, { servername: mxHost, host: address })
    }
    const { sts } = await this.#service
    const now = await sts.getPolicy(delivery.domain)
    if (now.status === 'found' && policyKey(now) !== decision.policy) {
      throw unproved(delivery.domain, 'its MTA-STS policy has changed')
    }
  }

  #log(summary: DeliverySummary): void {
    const text = describeDelivery(summary, 'connected')
    this.#app.logger[isRemarkable(summary) ? 'info' : 'verbose'](TITLE, '%s', text)
  }
}

/** Whether another plugin has chosen the hosts or the route, or has disabled MTA-STS. */
function isRouted(delivery: ZoneDelivery): boolean {
  const { http, mx, mxPort, mxAuth, mxSecure, useLMTP, skipSTS } = delivery
  return [http, mx, mxPort, mxAuth, mxSecure, useLMTP, skipSTS].some(Boolean)
}

/** Adds the source address: connections from different addresses of this machine are not shared. */
function sourceKey(delivery: ZoneDelivery, key: string): string {
  const { zoneAddress, zoneAddressIPv4, zoneAddressIPv6 } = delivery as ZoneDelivery &
    Record<'zoneAddress' | 'zoneAddressIPv4' | 'zoneAddressIPv6', { address?: string } | undefined>
  const addresses = [zoneAddress, zoneAddressIPv4, zoneAddressIPv6]
  return [key, ...addresses.flatMap((one) => one?.address ?? [])].join(':')
}

function refuse(error: unknown): never {
  throw error instanceof Error && 'category' in error ? error : zoneError(error)
}

function settingsOf({ config }: ZoneApp): PluginSettings {
  const { enabled: _, ordering: __, overrides, dane, reports, ...main } = config
  const settings = readSettings({
    file: FILE,
    folder: process.cwd(),
    main,
    overrides,
    dane,
    reports,
  })
  return settings
}

function loggerOf({ logger }: ZoneApp): Logger {
  const log =
    (level: keyof ZoneApp['logger']) =>
    (_entry: object, message: string, ...args: unknown[]) =>
      logger[level](TITLE, '%s', format(message, ...args))
  return { debug: log('verbose'), info: log('info'), warn: log('warn'), error: log('error') }
}
