/**
 * The plugin itself: three public hooks. `sender:fetch` plans, `sender:connect` opens the
 * connection, `sender:headers` makes sure, before each MAIL FROM, that the connection has proved
 * what this message asks for.
 *
 * @module
 */
import type { Socket } from 'node:net'
import { format } from 'node:util'
import type { DeliveryContext } from '../delivery/deliver.js'
import type { Candidate, DeliveryPlan } from '../delivery/plan.js'
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
  type ZoneApp,
  type ZoneConnection,
  type ZoneDelivery,
  type ZoneHost,
  type ZoneMx,
} from './host.js'
import { asksForNothing, policyKey, requirementKey } from './requirement.js'

/** The name of the plugin in ZoneMTA's log. */
export const TITLE = 'MTA-STS'

/** Names the settings in messages. */
export const FILE = 'the configuration of mta-sts/zone-mta'

/** The decision of `sender:fetch` for a delivery. */
type Held =
  /** Routed by another plugin, or by the host of the zone */
  | { kind: 'left-alone' }
  /** The operator wants no TLS in this zone, and nothing else asks for it */
  | { kind: 'without-tls'; policy: string }
  | {
      kind: 'protected'
      /** The object in `delivery.mx`, by which a later route of another plugin is noticed */
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
  mxHost: string
  address: string
  secure: boolean
}

export class ZonePlugin {
  readonly #app: ZoneApp
  readonly #host: ZoneHost
  readonly #settings: PluginSettings
  readonly #service: Promise<PluginService>
  readonly #held = new WeakMap<ZoneDelivery, Held>()
  /** The proofs of sockets that were given to ZoneMTA */
  readonly #proofs = new WeakMap<object, Proof>()

  /** @throws an error that says what is wrong with the settings, or with this ZoneMTA */
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

  /** Resolves once messages can be protected; until then, hooks wait. */
  async ready(): Promise<void> {
    await this.#service
  }

  #ownStore() {
    const redis = this.#app.db?.redis
    const { prefix, store } = this.#settings
    if (store !== undefined || !redis) return undefined
    return redisStore(redis, prefix === undefined ? {} : { prefix })
  }

  /** A port that only the zone knows would lead mail past the plan. */
  #checkPorts(): void {
    const { port = 25 } = this.#settings.options
    for (const [name, zone] of Object.entries(this.#host.zones)) {
      if (zone.host || zone.port === undefined || Number(zone.port) === port) continue
      const must = `set port = ${zone.port} in ${FILE}, too`
      throw new MtaStsError(`The zone ${name} delivers to port ${zone.port}: ${must}`, 'ECONFIG')
    }
  }

  async #fetch(delivery: ZoneDelivery): Promise<void> {
    const zone = this.#host.zoneOf(delivery)
    if (zone.host || isRouted(delivery)) {
      this.#held.set(delivery, { kind: 'left-alone' })
      return
    }
    const { sts } = await this.#service
    const plan = await sts.plan(delivery.domain)
    const policy = policyKey(plan.lookup)
    if (zone.ignoreTLS && asksForNothing(plan)) {
      this.#held.set(delivery, { kind: 'without-tls', policy })
      return
    }
    const hasCandidates = plan.candidates.length > 0
    const opened = hasCandidates ? undefined : await this.#open(delivery, {})
    this.#protect(delivery, opened?.plan ?? plan, opened)
  }

  #protect(delivery: ZoneDelivery, plan: DeliveryPlan, opened: Opened | undefined): void {
    const addresses = plan.candidates.flatMap((candidate) => candidate.addresses)
    const ignoresIPv6 = Boolean(delivery.dnsOptions?.ignoreIPv6)
    // One host, so that one connection is opened for all of them; its addresses are real, since a
    // host without any would be a reason to bounce. Errors of connections are kept by its name
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
    const held: Held = {
      kind: 'protected',
      mx: [mx],
      key: requirementKey(plan),
      policy: policyKey(plan.lookup),
      opened,
    }
    this.#held.set(delivery, held)
    delivery.mx = held.mx
    delivery.skipSTS = true
    // TLS is in place on the sockets that ZoneMTA is given
    delivery.mxSecure = false
    this.#keyConnections(delivery, held)
  }

  /** A plugin that comes later may route the message elsewhere: the key is no longer ours then. */
  #keyConnections(delivery: ZoneDelivery, held: Extract<Held, { kind: 'protected' }>): void {
    let other: string | undefined
    Object.defineProperty(delivery, 'connectionKey', {
      configurable: true,
      enumerable: true,
      get: () => other ?? (delivery.mx === held.mx ? sourceKey(delivery, held.key) : undefined),
      set: (value: string | undefined) => {
        other = value === sourceKey(delivery, held.key) ? undefined : value
      },
    })
  }

  async #connect(delivery: ZoneDelivery, options: ConnectOptions): Promise<void> {
    const held = this.#held.get(delivery)
    if (held?.kind !== 'protected' || delivery.mx !== held.mx) return
    const { connection, plan } = held.opened ?? (await this.#open(delivery, options))
    held.opened = undefined
    // The policy may have changed since the message was fetched
    held.key = requirementKey(plan)
    held.policy = policyKey(plan.lookup)
    const { mxHost, address, tls } = connection
    const socket: Socket = connection.handOver()
    hideStartTls(socket)
    this.#proofs.set(socket, { key: held.key, mxHost, address, secure: tls !== false })
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
    const held = this.#held.get(delivery)
    if (!held) throw unproved(delivery.domain, 'it was fetched before the plugin was ready')
    if (held.kind === 'left-alone') return
    if (held.kind === 'protected') {
      if (delivery.mx !== held.mx) return
      const proof = this.#proofs.get(Object(connection.options.connection))
      if (proof?.key !== held.key) {
        throw unproved(delivery.domain, 'the connection has not proved what the message asks for')
      }
      // For ZoneMTA's log
      connection.secure = proof.secure
      Object.assign(connection.options, { servername: proof.mxHost, host: proof.address })
    }
    const { sts } = await this.#service
    const now = await sts.getPolicy(delivery.domain)
    if (now.status === 'found' && policyKey(now) !== held.policy) {
      throw unproved(delivery.domain, 'its MTA-STS policy has changed')
    }
  }

  #log(summary: DeliverySummary): void {
    const text = describeDelivery(summary, 'connected')
    this.#app.logger[isRemarkable(summary) ? 'info' : 'verbose'](TITLE, '%s', text)
  }
}

/** Another plugin has chosen the hosts, the way to them, or to leave MTA-STS out. */
function isRouted(delivery: ZoneDelivery): boolean {
  const { http, mx, mxPort, mxAuth, mxSecure, useLMTP, skipSTS } = delivery
  return [http, mx, mxPort, mxAuth, mxSecure, useLMTP, skipSTS].some(Boolean)
}

/** Connections from different addresses of this host are not shared. */
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

/** The package's logger in npmlog's words. */
function loggerOf({ logger }: ZoneApp): Logger {
  const log =
    (level: keyof ZoneApp['logger']) =>
    (_entry: object, message: string, ...args: unknown[]) =>
      logger[level](TITLE, '%s', format(message, ...args))
  return { debug: log('verbose'), info: log('info'), warn: log('warn'), error: log('error') }
}
