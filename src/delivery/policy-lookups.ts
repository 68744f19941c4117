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
import { CachedPolicy } from '../policy/cached-policy.js'
import type { FetchOptions } from '../policy/fetch.js'
import { GuardedStore, storeLimit } from '../policy/guarded-store.js'
import { appliedPolicy, isSamePolicy, noPolicy, type PolicyLookup } from '../policy/lookup.js'
import type { Overrides } from '../policy/overrides.js'
import { formatPolicy, type Policy } from '../policy/policy-file.js'
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
    this.#overrides = new Map(
      [...overrides].map(([domain, override]) => [domain, overridden(override, now)]),
    )
  }

  /** Returns the policy of a domain in any form. */
  find(domain: string): PolicyLookup | Promise<PolicyLookup> {
    this.#throwIfClosed()
    // Most domains are given in the form in which they are cached
    const known = this.#overrides.get(domain) ?? this.#cache.known(domain)
    return known ?? this.of(parseDestination(domain))
  }

  of(destination: Destination): PolicyLookup | Promise<PolicyLookup> {
    this.#throwIfClosed()
    if (destination.kind === 'literal') return noPolicy('address-literal')
    const { name } = destination
    return this.#overrides.get(name) ?? this.#cache.get(name)
  }

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

  isExempt(policyDomain: string): boolean {
    return this.#overrides.get(policyDomain)?.status === 'none'
  }

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

/** Returns the lookup of an overridden domain. A pinned policy counts as fetched now. */
function overridden(override: 'off' | Policy, now: () => number): PolicyLookup {
  if (override === 'off') return noPolicy('override')
  const fetchedAt = now()
  const policy = { ...override, mx: [...override.mx] }
  const pinned = { id: 'override', policy, body: formatPolicy(policy), fetchedAt }
  return new CachedPolicy(pinned, fetchedAt).lookup
}
