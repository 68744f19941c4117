/**
 * The policy of a destination: none for an address literal, else the operator's override, else the
 * cached policy or the result of a lookup (RFC 8461 §3). Failures are published and logged.
 *
 * @module
 */
import { closedError } from '../errors.js'
import { publish } from '../events.js'
import type { Logger } from '../logger.js'
import { withinTime } from '../net/deadline.js'
import { type CacheOptions, PolicyCache } from '../policy/cache.js'
import type { FetchOptions } from '../policy/fetch.js'
import { GuardedStore, storeLimit } from '../policy/guarded-store.js'
import { appliedPolicy, isSamePolicy, noPolicy, type PolicyLookup } from '../policy/lookup.js'
import { type Overrides, overriddenLookups } from '../policy/overrides.js'
import { Refresher, type RefreshSummary } from '../policy/renewal.js'
import type { PolicyStore } from '../policy/store.js'
import { escapeRemoteText, textOfThrown } from '../text.js'
import { describeFailure, type TlsFailure } from '../tls/failures.js'
import { type Destination, parseDestination } from './destination.js'

/** Limit of an answer of the policy store, in milliseconds; after it, only memory is used. */
const STORE_TIMEOUT = 2000

/** Options that {@link PolicyLookups} sets itself. */
type OwnOptions = 'network' | 'store' | 'closing' | 'exempt' | 'report' | 'renewWithin'

export interface PolicyLookupOptions
  extends Omit<CacheOptions, OwnOptions>,
    Omit<FetchOptions, 'signal'> {
  store: PolicyStore | undefined
  /** Take precedence over everything else */
  overrides: Overrides
  /** Time between passes over the cached policies, in milliseconds */
  refreshInterval: number
  logger: Logger | undefined
}

export class PolicyLookups {
  readonly #logger: Logger | undefined
  readonly #policyStore: PolicyStore | undefined
  readonly #store: GuardedStore
  readonly #cache: PolicyCache
  readonly #refresher: Refresher
  readonly #closing = new AbortController()
  readonly #overrides: ReadonlyMap<string, PolicyLookup>

  constructor(options: PolicyLookupOptions) {
    const { store, overrides, refreshInterval, logger, now } = options
    this.#logger = logger
    this.#policyStore = store
    this.#store = new GuardedStore(store, {
      timeout: STORE_TIMEOUT,
      now,
      closing: this.#closing.signal,
      report: (operation, error) => this.#reportStore(operation, error),
    })
    this.#cache = new PolicyCache({
      ...options,
      network: { ...options, signal: this.#closing.signal },
      store: this.#store,
      closing: this.#closing.signal,
      exempt: overrides,
      renewWithin: (milliseconds) => this.#refresher.within(milliseconds),
      report: (...what) => this.#reportPolicy(...what),
    })
    this.#refresher = new Refresher(this.#cache, { interval: refreshInterval, now })
    this.#overrides = overriddenLookups(overrides, now)
  }

  /**
   * Returns the policy of a domain, which need not be a destination in parsed form.
   *
   * @throws MtaStsError `EDOMAIN`; `ECLOSED`, or rejects with it
   */
  find(domain: string): PolicyLookup | Promise<PolicyLookup> {
    this.#throwIfClosed()
    // Most domains are given in the form in which they are cached
    const known = this.#overrides.get(domain) ?? this.#cache.known(domain)
    return known ?? this.of(parseDestination(domain))
  }

  /** @throws MtaStsError `ECLOSED`, or rejects with it */
  of(destination: Destination): PolicyLookup | Promise<PolicyLookup> {
    this.#throwIfClosed()
    if (destination.kind === 'literal') return noPolicy('address-literal')
    const { name } = destination
    return this.#overrides.get(name) ?? this.#cache.get(name)
  }

  /** Looks for a new policy now: see `PolicyCache.lookAgain`. */
  async lookAgain(
    destination: Destination,
    options?: { mismatch: boolean },
  ): Promise<PolicyLookup> {
    this.#throwIfClosed()
    if (destination.kind === 'literal') return noPolicy('address-literal')
    const { name } = destination
    return this.#overrides.get(name) ?? this.#cache.lookAgain(name, options)
  }

  /** Whether memory still has this policy. */
  isCurrent({ kind, name }: Destination, lookup: PolicyLookup): boolean {
    if (kind === 'literal') return true
    const now = this.#overrides.get(name) ?? this.#cache.peek(name)
    if (now === undefined || now === lookup || now.status === 'none') return true
    return lookup.status === 'found' && isSamePolicy(lookup, now)
  }

  /** Whether the operator has exempted a Policy Domain. */
  isExempt(policyDomain: string): boolean {
    return this.#overrides.get(policyDomain)?.status === 'none'
  }

  /** Renews the cached policies: see `Refresher.run`. */
  refresh(): Promise<RefreshSummary> {
    return this.#refresher.run()
  }

  /** Rejects unless the store answers. */
  async verifyStore(): Promise<void> {
    const store = this.#policyStore
    if (store) await withinTime(storeLimit(STORE_TIMEOUT), () => store.get('example.com'))
  }

  async close(): Promise<void> {
    this.#closing.abort(closedError())
    await this.#refresher.close()
    await this.#store.close()
  }

  #throwIfClosed(): void {
    // A new error for each caller
    if (this.#closing.signal.aborted) throw closedError()
  }

  #reportPolicy(policyDomain: string, applies: PolicyLookup, failure: TlsFailure): void {
    const policy = appliedPolicy(policyDomain, applies)
    publish('mta-sts:policy-failure', () => ({ policyDomain, policy, failure }))
    this.#logger?.warn(
      { tnx: 'mta-sts', policyDomain, mode: policy.mode, err: failure.cause },
      '%s: %s; %s',
      policyDomain,
      describeFailure(failure),
      policy.type === 'sts' ? `its policy (${policy.mode}) still applies` : 'no policy applies',
    )
  }

  #reportStore(operation: string, error: unknown): void {
    publish('mta-sts:store-failure', () => ({ operation, error }))
    this.#logger?.error(
      { tnx: 'mta-sts', operation, err: error },
      'The policy store failed (%s): %s',
      operation,
      escapeRemoteText(textOfThrown(error)),
    )
  }
}
