/**
 * The front of the package: one object that knows policies, plans deliveries and carries them out
 * around an attempt of the caller's.
 *
 * @module
 */
import { type Attempt, deliver } from './delivery/deliver.js'
import { type Destination, parseDestination } from './delivery/destination.js'
import { storeError } from './delivery/errors.js'
import { HostLookups } from './delivery/host-lookups.js'
import { Opener, type OpenerOptions } from './delivery/opener.js'
import {
  type DeliveryPlan,
  type PlanOptions,
  planDelivery,
  type TlsDemand,
} from './delivery/plan.js'
import { DeliveryRecord, type DeliverySummary } from './delivery/record.js'
import { ask } from './dns/resolver.js'
import { MtaStsError } from './errors.js'
import { publish } from './events.js'
import type { Connect } from './net/connect.js'
import { guarded, type MtaStsOptions, resolveOptions, type Settings } from './options.js'
import { PolicyCache } from './policy/cache.js'
import { CachedPolicy } from './policy/cached-policy.js'
import { GuardedStore } from './policy/guarded-store.js'
import { appliedPolicy, isSamePolicy, noPolicy, type PolicyLookup } from './policy/lookup.js'
import { recordName } from './policy/names.js'
import { formatPolicy, type Policy } from './policy/policy-file.js'
import { Refresher, type RefreshSummary } from './policy/renewal.js'
import { BrokenTls } from './smtp/broken-tls.js'
import type { OpenOptions, SmtpConnection } from './smtp/connection.js'
import { escapeRemoteText, textOfThrown } from './text.js'
import { describeFailure, type TlsFailure } from './tls/failures.js'
import type { DaneJudge } from './tls/verdict.js'

/** The time limit for an answer of the policy store, in milliseconds; after it, memory serves alone. */
const STORE_TIMEOUT = 2000

/** Options of {@link MtaSts.deliver}. */
export interface DeliverOptions {
  /** The TLS that the message itself demands (RFC 8689); default `policy` */
  demand?: TlsDemand | undefined
  /** `smart-host`: the domain is the host itself, not a recipient's; default `mx` */
  route?: 'mx' | 'smart-host' | undefined
  /** Ends the delivery: `deliver` rejects with its reason. An attempt has to watch it itself */
  signal?: AbortSignal | undefined
  /** Called once with the account of the delivery, before `deliver` settles */
  onEnd?: ((summary: DeliverySummary) => void) | undefined
}

/**
 * The sending side of RFC 8461.
 *
 * @example
 * const sts = new MtaSts()
 * await sts.deliver('example.com', async (candidate, context) => {
 *   const connection = await context.open()
 *   return connection.send({ from: 'me@sender.example', to: ['you@example.com'] }, message)
 * })
 */
export class MtaSts implements AsyncDisposable {
  /** Opens TCP connections: the option of this name, or its default */
  readonly connect: Connect
  readonly #settings: Settings
  readonly #lookups: HostLookups
  readonly #openerOptions: OpenerOptions
  readonly #planOptions: Readonly<Record<TlsDemand, PlanOptions>>
  readonly #store: GuardedStore
  readonly #cache: PolicyCache
  readonly #refresher: Refresher
  readonly #closing = new AbortController()
  /** The operator's policies, which go before the domain's own */
  readonly #overrides: ReadonlyMap<string, PolicyLookup>

  /** @throws TypeError that names the option which is wrong */
  constructor(options: MtaStsOptions = {}) {
    const settings = guarded(resolveOptions(options))
    this.#lookups = new HostLookups(settings)
    const { dane } = settings
    const judgeDane: DaneJudge | undefined = dane && ((...what) => dane.judge(...what))
    const plans = { ...settings, lookups: this.#lookups, judgeDane }
    this.#openerOptions = {
      ...settings,
      counted: new WeakMap(),
      judgeDane,
      brokenTls: new BrokenTls(),
    }
    this.#planOptions = {
      policy: { ...plans, demand: 'policy', shared: new WeakMap() },
      require: { ...plans, demand: 'require', shared: new WeakMap() },
      optional: { ...plans, demand: 'optional', shared: new WeakMap() },
    }
    this.#settings = settings
    this.connect = settings.connect
    this.#store = new GuardedStore(settings.store, {
      timeout: STORE_TIMEOUT,
      now: settings.now,
      report: (operation, error) => this.#reportStore(operation, error),
    })
    this.#cache = new PolicyCache({
      ...settings,
      network: { ...settings, signal: this.#closing.signal },
      store: this.#store,
      closing: this.#closing.signal,
      exempt: settings.overrides,
      renewWithin: (milliseconds) => this.#refresher.within(milliseconds),
      report: (...what) => this.#reportPolicy(...what),
    })
    this.#refresher = new Refresher(this.#cache, {
      interval: settings.refreshInterval,
      now: settings.now,
    })
    this.#overrides = new Map(
      [...settings.overrides].map(([domain, override]) => [domain, overridden(override, settings)]),
    )
  }

  /**
   * Returns the policy of a domain: at once when it is cached, else after a TXT lookup and a GET
   * (RFC 8461 §3). Never rejects for what a remote party does.
   *
   * @param domain the recipient's domain, in A-labels or U-labels, or an address literal
   * @throws MtaStsError `EDOMAIN` when it is neither; `ECLOSED` when the object is closed, or is
   *   closed before the policy is known
   */
  async getPolicy(domain: string): Promise<PolicyLookup> {
    return this.#lookup(domain)
  }

  /**
   * Returns the MX hosts of a domain in order, each with what it must prove (RFC 8461 §4, §5).
   *
   * @throws RoutingError when the domain has no host for mail, or that cannot be found out
   */
  async plan(
    domain: string,
    { demand = 'policy', route = 'mx' }: Pick<DeliverOptions, 'demand' | 'route'> = {},
  ): Promise<DeliveryPlan> {
    return this.#plan(new DeliveryRecord(parseDestination(domain, route)), demand)
  }

  /**
   * Carries a delivery out (RFC 8461 §5.1): calls `attempt` for one candidate after the other until
   * one succeeds, and resolves to what it resolved to. See {@link Attempt} for what its errors
   * mean.
   *
   * @throws DeliveryRefusedError when no MX host proved what it had to; temporary: try again later
   * @throws RoutingError when there is no host to deliver to
   * @throws MtaStsError `ECLOSED` when the object is closed, or is closed before the policy is known
   * @throws the attempt's error, when that was final or nothing else is left
   */
  async deliver<T>(domain: string, attempt: Attempt<T>, options: DeliverOptions = {}): Promise<T> {
    const { demand = 'policy', route, signal, onEnd } = options
    const record = new DeliveryRecord(parseDestination(domain, route))
    const opener = new Opener(record, this.#openerOptions)
    const steps = {
      plan: () => this.#plan(record, demand),
      lookAgain: (options: { mismatch: boolean }) => this.#lookAgain(record.destination, options),
      isCurrent: (plan: DeliveryPlan) => this.#isCurrent(record.destination, plan),
      open: opener.open,
      reuse: opener.reuse,
      signal,
    }
    try {
      return await this.#lookups.during(() => deliver(steps, record, attempt))
    } finally {
      this.#callback(() => onEnd?.(record.summary()))
    }
  }

  /** Calls back into the program that uses us; what it throws is logged and goes no further. */
  #callback(call: () => void): void {
    try {
      call()
    } catch (error) {
      const entry = { tnx: 'mta-sts', err: error }
      this.#settings.logger?.error(entry, 'onEnd failed: %s', textOfThrown(error))
    }
  }

  /**
   * Connects to an MX host of the domain that has proved what it must: {@link MtaSts.deliver} with
   * an attempt that only opens. Ask `getPolicy` again before each further message on it.
   *
   * @example
   * const connection = await sts.open('example.com')
   * await connection.send({ from: 'me@sender.example', to: ['you@example.com'] }, message)
   * await connection.quit()
   *
   * @throws as {@link MtaSts.deliver} does; an unreachable host is an error with `code`
   *   ECONNECTION, ETIMEDOUT or EPROTOCOL
   */
  async open(domain: string, options: OpenOptions & DeliverOptions = {}): Promise<SmtpConnection> {
    const { demand, route, onEnd, ...open } = options
    const attempt: Attempt<SmtpConnection> = (_, context) => context.open(open)
    return this.deliver(domain, attempt, { demand, route, onEnd, signal: open.signal })
  }

  /**
   * Asks for a new policy now, however short ago the last look was (RFC 8461 §5.1): for programs
   * that go through the MX hosts themselves, before they give up. A cached policy stays unless
   * there is a new one.
   *
   * @throws MtaStsError `EDOMAIN`, `ECLOSED`
   */
  async lookAgain(domain: string): Promise<PolicyLookup> {
    return this.#lookAgain(parseDestination(domain))
  }

  /**
   * Fetches every cached policy anew that was used in the last 30 days and is due. Runs by itself
   * once in `refreshInterval`. Never rejects.
   */
  refresh(): Promise<RefreshSummary> {
    return this.#refresher.run()
  }

  /**
   * Checks whether the resolver and the store answer.
   *
   * @throws MtaStsError `EDNS` when the resolver does not; the store's error when the store does not
   */
  async verify(): Promise<true> {
    const { resolver, dnsTimeout, store } = this.#settings
    const answer = await ask(() => resolver.resolveTxt(recordName('example.com')), dnsTimeout)
    if (answer.kind === 'failed') {
      const { error } = answer
      const hint = 'Check the name servers, or give another resolver.'
      throw new MtaStsError(`The resolver does not answer (${error.message}). ${hint}`, 'EDNS', {
        cause: error,
      })
    }
    if (store) await withinTime(store.get('example.com'), STORE_TIMEOUT)
    return true
  }

  /**
   * Ends the work in the background and closes the store. Lookups under way, and every later call,
   * reject with `ECLOSED`; nothing is learnt any more.
   */
  async close(): Promise<void> {
    this.#closing.abort(closedError())
    await this.#refresher.close()
    await this.#store.close()
  }

  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Plans a delivery by the policy that applies now, and records that policy. */
  async #plan(record: DeliveryRecord, demand: TlsDemand): Promise<DeliveryPlan> {
    const { destination } = record
    void this.#settings.dane?.probe(this.#settings.logger)
    const mxHosts =
      destination.kind === 'domain'
        ? this.#lookups.mx(destination.name, this.#usesDane(destination, demand))
        : ({ kind: 'absent', nxdomain: false } as const)
    const found = this.#lookupFor(destination)
    const lookup = found instanceof Promise ? await found : found
    record.begin(lookup)
    if (lookup.status === 'none' && lookup.reason === 'store-failure')
      throw storeError(destination.name)
    return planDelivery({ destination, lookup, mxHosts }, this.#planOptions[demand])
  }

  /** An override of the operator, and `TLS-Required: No` (RFC 8689 §3), set DANE aside. */
  #usesDane({ name }: Destination, demand: TlsDemand): boolean {
    const override = this.#overrides.get(name)
    return demand !== 'optional' && override?.status !== 'none'
  }

  #lookup(domain: string): PolicyLookup | Promise<PolicyLookup> {
    this.#throwIfClosed()
    // Most domains come in the form in which they are cached
    const known = this.#overrides.get(domain) ?? this.#cache.known(domain)
    return known ?? this.#lookupFor(parseDestination(domain))
  }

  #lookupFor(destination: Destination): PolicyLookup | Promise<PolicyLookup> {
    this.#throwIfClosed()
    if (destination.kind === 'literal') return noPolicy('address-literal')
    const { name } = destination
    return this.#overrides.get(name) ?? this.#cache.get(name)
  }

  #throwIfClosed(): void {
    // A new error for each caller
    if (this.#closing.signal.aborted) throw closedError()
  }

  async #lookAgain(
    destination: Destination,
    options?: { mismatch: boolean },
  ): Promise<PolicyLookup> {
    this.#throwIfClosed()
    if (destination.kind === 'literal') return noPolicy('address-literal')
    const { name } = destination
    return this.#overrides.get(name) ?? this.#cache.lookAgain(name, options)
  }

  /** Whether memory knows no other policy than the one that the plan was made by. */
  #isCurrent({ kind, name }: Destination, { lookup }: DeliveryPlan): boolean {
    if (kind === 'literal') return true
    const now = this.#overrides.get(name) ?? this.#cache.peek(name)
    if (now === undefined || now === lookup || now.status === 'none') return true
    return lookup.status === 'found' && isSamePolicy(lookup, now)
  }

  #reportPolicy(policyDomain: string, applies: PolicyLookup, failure: TlsFailure): void {
    const policy = appliedPolicy(policyDomain, applies)
    publish('mta-sts:policy-failure', () => ({ policyDomain, policy, failure }))
    this.#settings.logger?.warn(
      { tnx: 'mta-sts', policyDomain, mode: policy.mode, err: failure.cause },
      '%s: %s; %s',
      policyDomain,
      describeFailure(failure),
      policy.type === 'sts' ? `its policy (${policy.mode}) still applies` : 'no policy applies',
    )
  }

  #reportStore(operation: string, error: unknown): void {
    publish('mta-sts:store-failure', () => ({ operation, error }))
    this.#settings.logger?.error(
      { tnx: 'mta-sts', operation, err: error },
      'The policy store failed (%s): %s',
      operation,
      escapeRemoteText(textOfThrown(error)),
    )
  }
}

function closedError(): MtaStsError {
  return new MtaStsError('The MtaSts object was closed', 'ECLOSED')
}

/** @throws Error when the promise takes longer */
async function withinTime<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const error = new MtaStsError(
      `The policy store did not answer within ${milliseconds} ms`,
      'ESTORE',
    )
    timer = setTimeout(() => reject(error), milliseconds)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

function overridden(override: 'off' | Policy, { now }: Settings): PolicyLookup {
  if (override === 'off') return noPolicy('override')
  const fetchedAt = now()
  const pinned = { id: 'override', policy: override, body: formatPolicy(override), fetchedAt }
  return new CachedPolicy(pinned, fetchedAt).lookup
}
