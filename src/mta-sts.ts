/**
 * The front of the package: one object that knows policies, plans deliveries and carries them out
 * round an attempt of the caller's.
 *
 * @module
 */
import { setMaxListeners } from 'node:events'
import { type Attempt, deliver } from './delivery/deliver.js'
import {
  type DeliveryPlan,
  type PlanOptions,
  planDelivery,
  planForLiteral,
  planForSmartHost,
  type TlsDemand,
} from './delivery/plan.js'
import { isAddressLiteral, toALabels } from './dns/domain-name.js'
import { ask } from './dns/resolver.js'
import { Lookups } from './dns/shared-lookups.js'
import { MtaStsError } from './errors.js'
import { publish } from './events.js'
import type { Connect } from './net/connect.js'
import { type MtaStsOptions, resolveOptions, type Settings } from './options.js'
import { PolicyCache } from './policy/cache.js'
import { CachedPolicy } from './policy/cached-policy.js'
import { GuardedStore } from './policy/guarded-store.js'
import { appliedPolicy, noPolicy, type PolicyLookup } from './policy/lookup.js'
import { formatPolicy, type Policy } from './policy/policy-file.js'
import { Refresher, type RefreshSummary } from './policy/renewal.js'
import { escapeRemoteText, textOfThrown } from './text.js'
import { describeFailure, type TlsFailure } from './tls/failures.js'

/** How long a policy store may take for an answer before memory goes on alone, in milliseconds. */
const STORE_TIMEOUT = 2000

/** What {@link MtaSts.deliver} may be told beside the domain. */
export interface DeliverOptions {
  /** What the message itself asks of TLS (RFC 8689); default `policy` */
  demand?: TlsDemand | undefined
  /** `smart-host`: the domain is the host itself, not a recipient's; default `mx` */
  route?: 'mx' | 'smart-host' | undefined
  /** Ends the delivery: `deliver` rejects with its reason. An attempt has to see to itself */
  signal?: AbortSignal | undefined
}

/**
 * The sending side of RFC 8461.
 *
 * @example
 * const sts = new MtaSts()
 * await sts.deliver('example.com', async (candidate) => {
 *   // connect to candidate.mxHost, EHLO, STARTTLS with candidate.tls, then
 *   const failure = candidate.verify(socket)
 *   if (failure) throw new TlsFailureError(failure)
 *   // MAIL FROM, RCPT TO, DATA
 * })
 */
export class MtaSts implements AsyncDisposable {
  /** How TCP connections are opened: the option of this name, or its default */
  readonly connect: Connect
  readonly #settings: Settings
  readonly #lookups: Lookups
  readonly #planOptions: Readonly<Record<TlsDemand, PlanOptions>>
  readonly #store: GuardedStore
  readonly #cache: PolicyCache
  readonly #refresher: Refresher
  readonly #closing = new AbortController()
  /** The operator's own word, which goes before the domain's */
  readonly #overrides: ReadonlyMap<string, PolicyLookup>

  /** @throws TypeError that names the option which is wrong */
  constructor(options: MtaStsOptions = {}) {
    const settings = resolveOptions(options)
    this.#lookups = new Lookups(settings)
    const plans = { ...settings, lookups: this.#lookups }
    this.#planOptions = {
      policy: { ...plans, demand: 'policy' },
      require: { ...plans, demand: 'require' },
      optional: { ...plans, demand: 'optional' },
    }
    // As many listeners as there are GETs at a time
    setMaxListeners(0, this.#closing.signal)
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
   * What a domain is held to. At once when it is known, else after a TXT lookup and a GET (RFC 8461
   * §3). Never rejects for what a remote party does.
   *
   * @param domain the recipient's domain, in A-labels or U-labels, or an address literal
   * @throws MtaStsError `EDOMAIN` when it is no domain; `ECLOSED` when the object was closed before
   *   it was known
   */
  getPolicy(domain: string): Promise<PolicyLookup> {
    try {
      return Promise.resolve(this.#lookup(domain))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * The MX hosts of a domain in order, each with what it must prove and how (RFC 8461 §4, §5).
   *
   * @throws RoutingError when the domain has no host for mail, or that cannot be found out
   */
  async plan(
    domain: string,
    { demand = 'policy', route = 'mx' }: Pick<DeliverOptions, 'demand' | 'route'> = {},
  ): Promise<DeliveryPlan> {
    const lookup = this.#lookup(domain)
    const options = this.#planOptions[demand]
    if (isAddressLiteral(domain)) return planForLiteral(domain, await lookup, options)
    const policyDomain = canonical(domain)
    return route === 'mx'
      ? planDelivery(policyDomain, lookup, options)
      : planForSmartHost(policyDomain, await lookup, options)
  }

  /**
   * Carries a delivery out (RFC 8461 §5.1): calls `attempt` for one candidate after the other until
   * one succeeds, and resolves to what it resolved to. See {@link Attempt} for what its errors
   * mean.
   *
   * @throws DeliveryRefusedError when no MX host proved what it had to; temporary: try again later
   * @throws RoutingError when there is no host to deliver to
   * @throws MtaStsError `ECLOSED` when the object was closed before the policy was known
   * @throws the attempt's error, when that was final or nothing else is left
   */
  async deliver<T>(domain: string, attempt: Attempt<T>, options: DeliverOptions = {}): Promise<T> {
    const steps = {
      plan: () => this.plan(domain, options),
      lookAgain: () => this.#lookAgain(domain),
      signal: options.signal,
    }
    return this.#lookups.during(() => deliver(steps, attempt))
  }

  /**
   * Fetches every cached policy anew that was used in the last 30 days. Runs by itself once in
   * `refreshInterval`.
   */
  refresh(): Promise<RefreshSummary> {
    return this.#refresher.run()
  }

  /**
   * Asks the resolver and the store something, to see whether they answer.
   *
   * @throws MtaStsError `EDNS` when the resolver does not; the store's error when the store does not
   */
  async verify(): Promise<true> {
    const { resolver, dnsTimeout, store } = this.#settings
    const answer = await ask(() => resolver.resolveTxt('_mta-sts.example.com'), dnsTimeout)
    if (answer.kind === 'failed') {
      const { error } = answer
      const hint = 'Check the name servers, or give another resolver.'
      throw new MtaStsError(`The resolver does not answer (${error.message}). ${hint}`, 'EDNS', {
        cause: error,
      })
    }
    await store?.get('example.com')
    return true
  }

  /**
   * Ends what runs in the background, and closes the store. A policy that is being looked up is not
   * found out any more: who waits for it gets `ECLOSED`.
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

  #lookup(domain: string): PolicyLookup | Promise<PolicyLookup> {
    if (this.#closing.signal.aborted) throw closedError()
    // Most domains come in the form in which they are kept, and are known
    const known = this.#overrides.get(domain) ?? this.#cache.known(domain)
    if (known) return known
    if (typeof domain === 'string' && isAddressLiteral(domain)) return noPolicy('address-literal')
    const policyDomain = canonical(domain)
    const override = this.#overrides.get(policyDomain)
    return override ?? this.#cache.get(policyDomain)
  }

  async #lookAgain(domain: string): Promise<PolicyLookup> {
    const policyDomain = canonical(domain)
    return this.#overrides.get(policyDomain) ?? this.#cache.lookAgain(policyDomain)
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

/** @throws MtaStsError `EDOMAIN` */
function canonical(domain: string): string {
  const policyDomain = typeof domain === 'string' ? toALabels(domain) : undefined
  if (policyDomain !== undefined) return policyDomain
  const shown = typeof domain === 'string' ? `"${escapeRemoteText(domain)}"` : `A ${typeof domain}`
  throw new MtaStsError(`${shown} is not a domain name: check the recipient's address`, 'EDOMAIN')
}

function overridden(override: 'off' | Policy, { now }: Settings): PolicyLookup {
  if (override === 'off') return noPolicy('override')
  const fetchedAt = now()
  const pinned = { id: 'override', policy: override, body: formatPolicy(override), fetchedAt }
  return new CachedPolicy(pinned, fetchedAt).lookup
}
