/**
 * Updates a cached policy: looks up its TXT record, asks the store, and fetches it when the id has
 * changed, when the renewal is due (RFC 8461 §3.3, §10.2), or when it does not match the MX hosts.
 *
 * @module
 */
import type { TlsFailure } from '../tls/failures.js'
import type { FetchBackoff } from './backoff.js'
import { CachedPolicy } from './cached-policy.js'
import { plainFailure } from './failure.js'
import { type FetchOptions, fetchPolicy } from './fetch.js'
import type { GuardedStore } from './guarded-store.js'
import type { PolicyLookup } from './lookup.js'
import type { PolicyMemory } from './memory.js'
import { lookupRecord, type RecordLookup } from './record-lookup.js'
import { span } from './span.js'
import type { StoredPolicy } from './store.js'

export interface UpdaterOptions {
  network: FetchOptions
  store: GuardedStore
  memory: PolicyMemory
  backoff: FetchBackoff
  now: () => number
  /** Age of the last TXT lookup at which the record is looked up again */
  recheckInterval: number
  /** Throws when the cache is closing: it then learns nothing */
  requireOpen: () => void
  /** Called with a failure and the policy that applies nevertheless */
  report: (policyDomain: string, applies: PolicyLookup, failure: TlsFailure) => void
  /** Called when a policy is cached, to schedule its renewal */
  renewBy: (policyDomain: string, policy: CachedPolicy) => void
}

/** Outcome of a renewal in a pass. */
export type Renewal = 'renewed' | 'changed' | 'failed' | 'dropped' | 'kept'

/** Reason for an update. */
export type Occasion =
  /** `recheckInterval` has passed since the last TXT lookup, or a delivery was refused */
  | 'recheck'
  /** An MX host does not match the policy: it is fetched even if its id is the same */
  | 'mismatch'
  /** The pass over the cached policies: it is always fetched */
  | 'pass'

/** `removed`: an operator has removed the policy. */
export type Update =
  | { kind: 'unchanged' | 'fetched' | 'failed'; policy: CachedPolicy }
  | { kind: 'removed' }

export type Fetch =
  | { kind: 'fetched'; policy: CachedPolicy }
  | { kind: 'failed'; failure: TlsFailure }

/** The policy that applies, and the entry of the store. */
interface Synced {
  policy: CachedPolicy
  read?: StoredPolicy | undefined
}

interface Replaced {
  /** The policy that the fetched one replaces */
  before?: CachedPolicy | undefined
  /** The entry of the store when the fetch began */
  read?: StoredPolicy | undefined
  /** Whether the fetched policy is cached in memory, not in the store alone */
  inMemory: boolean
}

export class Updater {
  readonly #options: UpdaterOptions

  constructor(options: UpdaterOptions) {
    this.#options = options
  }

  /**
   * Renews a policy of memory or, if memory has none, of the store.
   *
   * @throws MtaStsError `ECLOSED`
   */
  async renew(policyDomain: string): Promise<Renewal> {
    const { store, memory, requireOpen } = this.#options
    const now = this.#options.now()
    let cached = memory.valid(policyDomain, now)
    let read: StoredPolicy | undefined
    if (cached) {
      const synced = await this.sync(policyDomain, cached)
      if (synced === undefined) return 'dropped'
      if (synced.policy !== cached) return 'kept'
    } else {
      if (memory.dropExpired(policyDomain, now)) return 'dropped'
      const stored = await store.get(policyDomain)
      requireOpen()
      if (stored.kind !== 'entry') return 'kept'
      cached = stored.cached
      read = stored.stored
    }
    if (!cached.isInUse(now)) return 'kept'
    const { body, id } = cached
    const update = await this.update(policyDomain, cached, { occasion: 'pass', read })
    switch (update.kind) {
      case 'fetched':
        return update.policy.id === id && update.policy.body === body ? 'renewed' : 'changed'
      case 'removed':
        return 'dropped'
      case 'failed':
        return 'failed'
      case 'unchanged':
        return 'kept'
    }
  }

  /**
   * Updates a policy. If only the store has it, memory is not changed.
   *
   * @param read the entry of the store, if it was just read
   * @throws MtaStsError `ECLOSED`
   */
  async update(
    policyDomain: string,
    cached: CachedPolicy,
    { occasion, read }: { occasion: Occasion; read?: StoredPolicy | undefined },
  ): Promise<Update> {
    const { network, memory, now, recheckInterval } = this.#options
    const record = await lookupRecord(policyDomain, network)
    this.#options.requireOpen()
    cached.checkedNow(now())
    if (record.kind === 'found') cached.recordSeenAt = now()

    const inMemory = memory.holds(policyDomain, cached)
    const isDue = (policy: CachedPolicy) => isFetchDue(policy, record, { occasion, now: now() })
    const synced =
      inMemory && (isDue(cached) || cached.isSyncDue(now(), recheckInterval))
        ? await this.sync(policyDomain, cached)
        : { policy: cached, read }
    if (synced === undefined) return { kind: 'removed' }
    const { policy } = synced

    const problem = problemOf(record)
    // A different text that another process fetched meanwhile replaces a fetch
    if (!isDue(policy) || (occasion === 'mismatch' && policy.body !== cached.body)) {
      this.#note(policyDomain, policy, problem)
      return { kind: policy === cached && problem ? 'failed' : 'unchanged', policy }
    }
    if (occasion === 'mismatch') policy.refetched = span(now(), recheckInterval)
    const id = record.kind === 'found' ? record.id : policy.id
    const fetched = await this.fetch(policyDomain, id, {
      before: policy,
      read: synced.read,
      inMemory,
    })
    if (fetched.kind === 'failed') {
      this.#note(policyDomain, policy, fetched.failure)
      return { kind: 'failed', policy }
    }
    // After a fetch, a failed TXT lookup no longer matters; a missing record does
    if (problem && record.kind !== 'failed') this.#note(policyDomain, fetched.policy, problem)
    return fetched
  }

  /**
   * Fetches a policy, unless this id has failed lately. It is written to the store before it
   * applies.
   *
   * @throws MtaStsError `ECLOSED`
   */
  async fetch(
    policyDomain: string,
    id: string,
    replaced: Replaced = { inMemory: true },
  ): Promise<Fetch> {
    const { network, backoff, now } = this.#options
    const waiting = backoff.waiting(policyDomain, id, now())
    if (waiting) return { kind: 'failed', failure: waiting }
    const { before } = replaced
    const begun = now()
    const found = await fetchPolicy(policyDomain, network)
    this.#options.requireOpen()
    const end = now()
    if (found.kind === 'failed') {
      backoff.failed(policyDomain, id, { now: end, failure: plainFailure(found.failure) })
      return found
    }
    backoff.succeeded(policyDomain, id)
    const startedAt = Math.min(begun, end)
    const policy = new CachedPolicy({ ...found, id, startedAt, fetchedAt: end }, end, {
      usedAt: before?.usedAt ?? end,
      recordSeenAt: before?.recordSeenAt ?? end,
    })
    policy.checkedNow(end)
    policy.refetched = before?.refetched
    return {
      kind: 'fetched',
      policy: await this.#store(policyDomain, policy, replaced),
    }
  }

  /**
   * Asks the store, which other processes share, for a later fetch and for a removal by an
   * operator. Returns the policy that applies and the entry of the store; undefined when the policy
   * was removed.
   *
   * @throws MtaStsError `ECLOSED`
   */
  async sync(policyDomain: string, cached: CachedPolicy): Promise<Synced | undefined> {
    const { store, memory, now } = this.#options
    if (!store.isPresent) return { policy: cached }
    const removedAt = await store.removedAt(policyDomain)
    this.#options.requireOpen()
    if (removedAt !== undefined && removedAt >= cached.startedAt) {
      memory.remove(policyDomain, cached)
      return undefined
    }
    const answer = await store.get(policyDomain)
    this.#options.requireOpen()
    if (answer.kind === 'no-answer') return { policy: cached }
    const read = answer.stored
    cached.syncedNow(now())
    // The store has lost it: an operator's removal would have left its time
    if (answer.kind === 'nothing' && !read && store.tellsRemovals) cached.unsaved = true
    if (answer.kind === 'nothing' || answer.ahead > 0) return { policy: cached, read }
    const stored = answer.cached
    if (stored.startedAt <= cached.startedAt) return { policy: cached, read }
    stored.usedAt = Math.max(stored.usedAt, cached.usedAt)
    stored.recordSeenAt = Math.max(stored.recordSeenAt, cached.recordSeenAt)
    stored.continueFrom(cached)
    this.take(policyDomain, stored)
    return { policy: stored, read }
  }

  /**
   * Writes a cached policy to the store again: an earlier write failed, or `usedAt` is out of date.
   *
   * @throws MtaStsError `ECLOSED`
   */
  async save(policyDomain: string, cached: CachedPolicy): Promise<void> {
    const { store, memory } = this.#options
    const { usedAt } = cached
    cached.saving = true
    const written = await store.set(policyDomain, cached).finally(() => {
      cached.saving = false
    })
    this.#options.requireOpen()
    cached.unsaved = written === 'failed'
    if (written !== 'failed') cached.savedUsedAt = usedAt
    if (written === 'refused' && memory.holds(policyDomain, cached)) {
      await this.sync(policyDomain, cached)
    }
  }

  /** Caches the policy in memory: it applies from now on. */
  take(policyDomain: string, policy: CachedPolicy): void {
    this.#options.memory.set(policyDomain, policy)
    this.#options.renewBy(policyDomain, policy)
  }

  /** Writes a fetched policy to the store, then to memory. Returns the policy that applies. */
  async #store(
    policyDomain: string,
    policy: CachedPolicy,
    { read, inMemory }: Replaced,
  ): Promise<CachedPolicy> {
    const { store, now } = this.#options
    const written = await store.set(policyDomain, policy, read)
    this.#options.requireOpen()
    policy.unsaved = written === 'failed'
    if (written === 'stored') policy.syncedNow(now())
    if (inMemory) this.take(policyDomain, policy)
    if (written !== 'refused' || !inMemory) return policy
    // Another process began its fetch later, or an operator has removed the policy
    return (await this.sync(policyDomain, policy))?.policy ?? policy
  }

  #note(policyDomain: string, policy: CachedPolicy, failure: TlsFailure | undefined): void {
    policy.failure = failure && plainFailure(failure)
    if (failure) this.#options.report(policyDomain, policy.lookup, failure)
  }
}

function isFetchDue(
  policy: CachedPolicy,
  record: RecordLookup,
  { occasion, now }: { occasion: Occasion; now: number },
): boolean {
  if (record.kind === 'found' && record.id !== policy.id) return true
  // A domain without its record withdraws its policy, which may then expire. Only HTTPS is
  // authenticated, so a missing record takes effect slowly (RFC 8461 §3.3)
  const isGone = record.kind === 'gone' || record.kind === 'invalid'
  if (isGone && !policy.outlivesRecord(now)) return false
  if (occasion === 'mismatch' && policy.isRefetchDue(now)) return true
  return occasion === 'pass' || policy.isRenewalDue(now)
}

/** Returns the fault of a TXT record that was valid before, if any. */
function problemOf(record: RecordLookup): TlsFailure | undefined {
  if (record.kind === 'found') return undefined
  if (record.kind === 'gone') {
    return { resultType: 'sts-policy-fetch-error', reason: 'record-gone' }
  }
  return record.failure
}
