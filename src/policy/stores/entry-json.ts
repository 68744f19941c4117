/**
 * The rules that all stores share: when an entry replaces another one, and the form of an entry.
 *
 * An entry is stored as JSON, which preserves every string (NUL and BOM included) and every number
 * exactly, in every version of Node, driver and encoding.
 *
 * @module
 */

import { MtaStsError } from '../../errors.js'
import { escapeRemoteText } from '../../text.js'
import { type StoredPolicy, startOf } from '../store.js'

/**
 * Tolerance for times ahead of the store's clock, in milliseconds. An entry further in the future
 * was written by a host whose clock is wrong; if it counted, nothing could replace it until then.
 */
export const CLOCK_TOLERANCE = 3_600_000

/** Time for which a removal is remembered, in milliseconds: a policy lives for a year at most. */
export const REMOVAL_LIFE = 366 * 86_400_000

/** Entries that `list` has in memory at a time: 100 policies of 64 KiB are 6.4 MB. */
export const PAGE_SIZE = 100

/** Options of the stores that read the clock. */
export interface StoreClockOptions {
  /** The clock, in epoch milliseconds; default `Date.now` */
  now?: (() => number) | undefined
}

/** The state of a store when it receives an entry. */
export interface StoredState {
  /** The stored entry */
  kept: StoredPolicy | undefined
  /** When an operator last removed the policy */
  removedAt: number | undefined
  /** The entry that the caller had read when its fetch began */
  before: StoredPolicy | undefined
  /** Epoch milliseconds */
  now: number
}

/**
 * Returns the entry to store, or undefined where it is refused: the policy was removed after its
 * fetch began, or the stored entry stems from a fetch that began later. A fetch that began with the
 * stored entry read is the later one, whatever the clocks of the two hosts say.
 */
export function replacementFor(
  entry: StoredPolicy,
  { kept, removedAt, before, now }: StoredState,
): StoredPolicy | undefined {
  const latest = now + CLOCK_TOLERANCE
  if (removedAt !== undefined && removedAt > startOf(entry) && removedAt <= latest) return undefined
  if (kept === undefined) return entry
  const followsKept = before !== undefined && isSameFetch(before, kept)
  const newer = followsKept || startOf(entry) >= startOf(kept) || startOf(kept) > latest
  return newer ? withLatestUse(entry, kept, latest) : undefined
}

export function isSameFetch(one: StoredPolicy, other: StoredPolicy): boolean {
  return one.id === other.id && one.fetchedAt === other.fetchedAt && startOf(one) === startOf(other)
}

/**
 * Keeps the latest `usedAt`: a sender that has not used a policy for long must not hide its use by
 * another.
 */
function withLatestUse(entry: StoredPolicy, kept: StoredPolicy, latest: number): StoredPolicy {
  const usedAt = kept.usedAt <= latest ? Math.max(entry.usedAt, kept.usedAt) : entry.usedAt
  return { ...entry, usedAt }
}

/**
 * Returns a copy of the defined fields of an entry.
 *
 * @throws MtaStsError with code `ESTOREVALUE` where a field is missing or of the wrong type. The
 * cache judges the values.
 */
export function checkEntry(value: unknown, policyDomain: string): StoredPolicy {
  if (typeof value !== 'object' || value === null) throw nonsense(policyDomain, 'not an object')
  const { id, body, startedAt, fetchedAt, expiresAt, usedAt, recordSeenAt } = value as Record<
    string,
    unknown
  >
  if (typeof id !== 'string') throw nonsense(policyDomain, 'id is not a string')
  if (typeof body !== 'string') throw nonsense(policyDomain, 'body is not a string')
  if (!isTime(fetchedAt)) throw nonsense(policyDomain, 'fetchedAt is not a time')
  if (!isTime(expiresAt)) throw nonsense(policyDomain, 'expiresAt is not a time')
  if (!isTime(usedAt)) throw nonsense(policyDomain, 'usedAt is not a time')
  const entry: StoredPolicy = { id, body, fetchedAt, expiresAt, usedAt }
  if (startedAt !== undefined) {
    if (!isTime(startedAt)) throw nonsense(policyDomain, 'startedAt is not a time')
    entry.startedAt = startedAt
  }
  if (recordSeenAt !== undefined) {
    if (!isTime(recordSeenAt)) throw nonsense(policyDomain, 'recordSeenAt is not a time')
    entry.recordSeenAt = recordSeenAt
  }
  return entry
}

/** Returns the text of an entry, for SQLite and Redis. Throws as {@link checkEntry} does. */
export function encodeEntry(policyDomain: string, entry: StoredPolicy): string {
  return JSON.stringify(checkEntry(entry, policyDomain))
}

/** Returns the entry in a text. Throws as {@link checkEntry} does. */
export function decodeEntry(policyDomain: string, text: string): StoredPolicy {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw nonsense(policyDomain, 'not JSON', error)
  }
  return checkEntry(value, policyDomain)
}

/**
 * Returns the entry in a text, or undefined if it cannot be read (an old format, rubbish): it is
 * replaced.
 */
export function readableEntry(text: string | undefined): StoredPolicy | undefined {
  try {
    return text === undefined ? undefined : decodeEntry('', text)
  } catch {
    return undefined
  }
}

/**
 * Iterates over the entries of a store, page by page. All readable entries come first; then the
 * `ESTOREVALUE` error of the first unreadable one is thrown.
 */
export async function* decodePages(
  pages: AsyncIterable<readonly (readonly [policyDomain: string, text: string])[]>,
): AsyncGenerator<[policyDomain: string, entry: StoredPolicy]> {
  let firstError: unknown
  for await (const page of pages) {
    for (const [policyDomain, text] of page) {
      let entry: StoredPolicy
      try {
        entry = decodeEntry(policyDomain, text)
      } catch (error) {
        firstError ??= error
        continue
      }
      yield [policyDomain, entry]
    }
  }
  if (firstError !== undefined) throw firstError
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

function nonsense(policyDomain: string, what: string, cause?: unknown): MtaStsError {
  return new MtaStsError(
    `The entry for ${escapeRemoteText(policyDomain)} in the policy store is not a stored policy (${what}). ` +
      'Delete it, and find out what else writes to this store.',
    'ESTOREVALUE',
    { cause },
  )
}
