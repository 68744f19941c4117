/**
 * The options of {@link MtaSts}: their names, defaults and checks.
 *
 * @module
 */

import type { BlockList, Socket } from 'node:net'
import { builtins } from './builtins.js'
import type { Dane } from './dane/dane.js'
import type { MinimumSecurity } from './delivery/required-security.js'
import { defaultResolver, type Resolver } from './dns/resolver.js'
import { guardedLogger, LOGGER_METHODS, type Logger } from './logger.js'
import { defaultBlockedAddresses } from './net/blocked-addresses.js'
import { type Connect, type ConnectTarget, connectDirectly } from './net/connect.js'
import {
  checkKnown,
  configError,
  flag,
  MAX_TIMER,
  namesOf,
  number,
  optionError,
} from './option-checks.js'
import { checkedOverrides, type Overrides } from './policy/overrides.js'
import type { Policy } from './policy/policy-file.js'
import type { PolicyStore } from './policy/store.js'
import { textOfThrown } from './text.js'
import { type TrustedRoots, trustedRoots } from './tls/options.js'

/** Durations are in milliseconds. */
export interface MtaStsOptions {
  /**
   * Resolver for all DNS lookups; default: a new `dns.promises.Resolver`, with the system's name
   * servers
   */
  resolver?: Resolver | undefined
  /** Preserves policies beyond the process; default: none, they are cached in memory */
  store?: PolicyStore | undefined
  /** Trusted roots for policy hosts and MX hosts, as PEM; default: those of Node */
  ca?: string | Buffer | Array<string | Buffer> | undefined
  /** Maximum number of cached policies; default 100000 */
  maxPolicies?: number | undefined
  /** Maximum number of cached domains without a record; default 100000 */
  maxNegatives?: number | undefined
  /** Bound of the cache in memory, in bytes, besides the two numbers; default 268435456 */
  maxCacheBytes?: number | undefined
  /** Maximum number of policy lookups at once, others wait; default 64 */
  maxFetches?: number | undefined
  /**
   * Defers mail to domains without a cached policy when the store does not answer; default false:
   * such a domain counts as one without a policy for now
   */
  requireStore?: boolean | undefined
  /** Limit of the whole GET of a policy, from DNS to the last byte; default 30000 */
  fetchTimeout?: number | undefined
  /** Limit of a DNS query; default 5000 */
  dnsTimeout?: number | undefined
  /** The age of a TXT answer after which the record is looked up again; default 300000 */
  recheckInterval?: number | undefined
  /** The time for which the absence of a record is cached; default 300000 */
  negativeTtl?: number | undefined
  /** The wait after a failed policy fetch; default 300000, doubling */
  fetchBackoff?: number | undefined
  /** Time between passes over the cached policies; 0: only by `refresh()`; default 86400000 */
  refreshInterval?: number | undefined
  /** Addresses that are never connected to; default: loopback, private and others (README) */
  blockedAddresses?: BlockList | undefined
  /** By Policy Domain: `'off'` exempts it, a policy is pinned. Exact names, not their subdomains */
  overrides?: Record<string, 'off' | Policy> | undefined
  /** The minimum that a connection must prove without a policy; default `'opportunistic'` */
  minimumSecurity?: MinimumSecurity | undefined
  /** Treats every policy of mode `enforce` as `testing`: for a roll-out; default false */
  reportOnly?: boolean | undefined
  /**
   * Limit of all connecting of one delivery, without waits for a free connection; default 300000
   */
  deliveryTimeout?: number | undefined
  /** SMTP port of MX hosts; default 25 */
  port?: number | undefined
  /** DANE in addition to MTA-STS: `dane()` of `mta-sts/dane`, which has its own resolver */
  dane?: Dane | undefined
  /** Opens TCP connections: for proxies, source addresses, tests; default `net.connect` */
  connect?: ((target: ConnectTarget) => Socket | Promise<Socket>) | undefined
  /** Receives failures that an operator should see */
  logger?: Logger | false | undefined
  /** The clock, in epoch milliseconds; default `Date.now` */
  now?: (() => number) | undefined
}

/** The options with their defaults, checked. */
export interface Settings {
  resolver: Resolver
  store: PolicyStore | undefined
  roots: TrustedRoots
  maxPolicies: number
  maxNegatives: number
  maxCacheBytes: number
  maxFetches: number
  requireStore: boolean
  fetchTimeout: number
  dnsTimeout: number
  recheckInterval: number
  negativeTtl: number
  fetchBackoff: number
  refreshInterval: number
  blockedAddresses: BlockList
  overrides: Overrides
  minimumSecurity: MinimumSecurity
  reportOnly: boolean
  deliveryTimeout: number
  port: number
  dane: Dane | undefined
  connect: Connect
  logger: Logger | undefined
  now: () => number
}

/** The names of the options, in the order of {@link MtaStsOptions}. */
export const OPTION_NAMES = namesOf<keyof MtaStsOptions>({
  resolver: true,
  store: true,
  ca: true,
  maxPolicies: true,
  maxNegatives: true,
  maxCacheBytes: true,
  maxFetches: true,
  requireStore: true,
  fetchTimeout: true,
  dnsTimeout: true,
  recheckInterval: true,
  negativeTtl: true,
  fetchBackoff: true,
  refreshInterval: true,
  blockedAddresses: true,
  overrides: true,
  minimumSecurity: true,
  reportOnly: true,
  deliveryTimeout: true,
  port: true,
  dane: true,
  connect: true,
  logger: true,
  now: true,
})

/** The transport's EHLO name, accepted elsewhere: one object of options may serve them all. */
export const SHARED_NAME = 'name'

/** Options of SMTP sessions, which an `MtaSts` object does not open by itself. */
const ELSEWHERE = {
  sts: 'it is an option of mtaStsTransport() and withMtaSts(), which share an MtaSts object',
  tls: 'the TLS settings are decided by the policy; for trusted roots use "ca"',
  host: 'it belongs to withMtaSts(), the transport for a smart host',
  timeout: 'use "dnsTimeout", "fetchTimeout" or "deliveryTimeout"',
}

const MINIMUM_SECURITY: readonly MinimumSecurity[] = ['opportunistic', 'encrypted', 'authenticated']

/** @throws TypeError that names the option */
export function resolveOptions(options: MtaStsOptions): Settings {
  checkKnown(options, [...OPTION_NAMES, SHARED_NAME], {
    call: 'new MtaSts()',
    elsewhere: ELSEWHERE,
  })
  const dnsTimeout = number(options, 'dnsTimeout', { default: 5000, min: 1, max: MAX_TIMER })
  const dane = object(options, 'dane', DANE_METHODS)
  const requireStore = flag(options, 'requireStore')
  if (requireStore && options.store === undefined) {
    throw configError('The option "requireStore" needs the option "store"')
  }
  return {
    resolver: resolverOf(options, dane, dnsTimeout),
    store: storeOf(options),
    roots: roots(options.ca),
    maxPolicies: number(options, 'maxPolicies', { default: 100_000, min: 1, max: MAX_ENTRIES }),
    maxNegatives: number(options, 'maxNegatives', { default: 100_000, min: 1, max: MAX_ENTRIES }),
    maxCacheBytes: number(options, 'maxCacheBytes', { default: 2 ** 28, min: 2 ** 20 }),
    maxFetches: number(options, 'maxFetches', { default: 64, min: 1 }),
    requireStore,
    fetchTimeout: number(options, 'fetchTimeout', { default: 30_000, min: 1, max: MAX_TIMER }),
    dnsTimeout,
    recheckInterval: number(options, 'recheckInterval', { default: 300_000, min: 0 }),
    negativeTtl: number(options, 'negativeTtl', { default: 300_000, min: 0 }),
    fetchBackoff: number(options, 'fetchBackoff', { default: 300_000, min: 0 }),
    refreshInterval: number(options, 'refreshInterval', { default: 86_400_000, min: 0 }),
    blockedAddresses: blockList(options.blockedAddresses),
    overrides: checkedOverrides(options.overrides),
    minimumSecurity: minimumSecurity(options.minimumSecurity),
    reportOnly: flag(options, 'reportOnly'),
    deliveryTimeout: number(options, 'deliveryTimeout', {
      default: 300_000,
      min: 1,
      max: MAX_TIMER,
    }),
    port: number(options, 'port', { default: 25, min: 1, max: 65_535 }),
    dane,
    connect: func(options, 'connect') ?? connectDirectly,
    logger: object(options, 'logger', LOGGER_METHODS),
    now: func(options, 'now') ?? Date.now,
  }
}

const MAX_ENTRIES = 10_000_000

const DANE_METHODS = ['mx', 'host', 'judge', 'probe', 'required', 'excepted'] as const

const RESOLVER_METHODS = ['resolveTxt', 'resolveMx', 'resolve4', 'resolve6'] as const

/** Returns an object with these methods, or undefined; `logger: false` counts as absent. */
function object<K extends keyof MtaStsOptions>(
  options: MtaStsOptions,
  field: K,
  methods: readonly string[],
): Exclude<MtaStsOptions[K], false | undefined> | undefined {
  const value = options[field]
  if (value === undefined || (value === false && field === 'logger')) return undefined
  const has = (method: string) => typeof Reflect.get(Object(value), method) === 'function'
  if (typeof value === 'object' && value !== null && methods.every(has)) {
    return value as Exclude<MtaStsOptions[K], false | undefined>
  }
  const missing = methods.filter((method) => !has(method))
  const lacks =
    typeof value === 'object' && value !== null ? ` (it lacks ${missing.join(', ')})` : ''
  throw optionError(
    field,
    `must be an object with the methods ${methods.join(', ')}${lacks}`,
    value,
  )
}

/** Returns the store. A Map has methods of the same names, but would drop all but the policy. */
function storeOf(options: MtaStsOptions): PolicyStore | undefined {
  const store = object(options, 'store', ['get', 'set', 'delete'])
  const get: unknown = store?.get
  if (![Map, WeakMap, URLSearchParams].some(({ prototype }) => get === prototype.get)) return store
  const must =
    'must be a policy store: sqliteStore(), redisStore() or an object of your own whose get, set and delete return promises; without a store, policies are cached in memory'
  throw optionError('store', must, store)
}

/** Returns the resolver of DANE, if enabled, so that all answers come from one source. */
function resolverOf(options: MtaStsOptions, dane: Dane | undefined, dnsTimeout: number): Resolver {
  const { resolver } = options
  if (dane === undefined) {
    return object(options, 'resolver', RESOLVER_METHODS) ?? defaultResolver(dnsTimeout)
  }
  if (resolver === undefined) return dane.resolver
  const must = 'cannot be given beside "dane", which brings its own: use dane({ resolver })'
  throw optionError('resolver', must, resolver)
}

/**
 * Returns the settings with guards around the caller's parts: a logger that throws, a clock that
 * fails.
 */
export function guarded<T extends Pick<Settings, 'logger' | 'now'>>(settings: T): T {
  const { logger, now } = settings
  return { ...settings, logger: logger && guardedLogger(logger), now: guardedClock(now) }
}

/** Returns a clock that shows the machine's time if the given one fails. */
function guardedClock(now: () => number): () => number {
  if (now === Date.now) return now
  return () => {
    try {
      const time = now()
      if (Number.isFinite(time)) return time
    } catch {
      // A delivery and the work in the background go on
    }
    return Date.now()
  }
}

function func<K extends 'connect' | 'now'>(options: MtaStsOptions, field: K): MtaStsOptions[K] {
  const value = options[field]
  if (value === undefined || typeof value === 'function') return value
  throw optionError(field, 'must be a function', value)
}

function roots(ca: MtaStsOptions['ca']): TrustedRoots {
  for (const one of Array.isArray(ca) ? ca : [ca]) {
    if (one === undefined && ca === undefined) break
    if (typeof one === 'string' || Buffer.isBuffer(one)) continue
    const must = 'must be certificates in PEM form, as a string, a Buffer or an array of these'
    throw optionError('ca', must, Array.isArray(ca) ? [one] : one)
  }
  try {
    return trustedRoots(ca)
  } catch (cause) {
    const why = textOfThrown(cause)
    const message = `The option "ca" must be certificates in PEM form, but ${why}`
    throw configError(message, cause)
  }
}

function blockList(value: MtaStsOptions['blockedAddresses']): BlockList {
  if (value === undefined) return defaultBlockedAddresses()
  if (value instanceof builtins.net.BlockList) return value
  throw optionError('blockedAddresses', 'must be a net.BlockList', value)
}

function minimumSecurity(value: MtaStsOptions['minimumSecurity']): MinimumSecurity {
  if (value === undefined) return 'opportunistic'
  if (MINIMUM_SECURITY.includes(value)) return value
  throw optionError('minimumSecurity', `must be one of ${MINIMUM_SECURITY.join(', ')}`, value)
}
