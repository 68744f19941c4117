/**
 * What the stores have in common: how an entry is written down, and what counts as one.
 *
 * An entry is kept as JSON, because JSON brings back every string (NUL and BOM included) and every
 * number exactly, whatever the version of Node, the driver or the encoding below it.
 *
 * @module
 */

import { MtaStsError } from '../../errors.js'
import { escapeRemoteText } from '../../text.js'
import type { StoredPolicy } from '../store.js'

/**
 * How far ahead of the store's clock `fetchedAt` may be, in milliseconds, and still count as newer.
 * An entry from further in the future was written by a host whose clock is wrong; if it counted,
 * nobody could replace it before that day comes.
 */
export const CLOCK_TOLERANCE = 3_600_000

/** Entries that `list` holds in memory at a time: 100 policies of 64 KiB are 6.4 MB. */
export const PAGE_SIZE = 100

/** Options of the stores that look at the clock themselves. */
export interface StoreClockOptions {
  /** The clock, in epoch milliseconds; default `Date.now` */
  now?: (() => number) | undefined
}

/**
 * Whether a fetch may take the place of the entry that is kept: unless that one is newer, and its
 * date believable. Two hosts fetch at the same time; the slower one must not bring the old policy
 * back.
 */
export function mayReplace(kept: StoredPolicy, entry: StoredPolicy, now: number): boolean {
  return entry.fetchedAt >= kept.fetchedAt || kept.fetchedAt > now + CLOCK_TOLERANCE
}

/**
 * A copy of the five fields of an entry, and of nothing else.
 *
 * @throws MtaStsError with code `ESTOREVALUE` where a field is missing or of the wrong type. What
 *   the fields mean is the cache's to judge.
 */
export function checkEntry(value: unknown, policyDomain: string): StoredPolicy {
  if (typeof value !== 'object' || value === null) throw nonsense(policyDomain, 'not an object')
  const { id, body, fetchedAt, expiresAt, usedAt } = value as Record<string, unknown>
  if (typeof id !== 'string') throw nonsense(policyDomain, 'id is not a string')
  if (typeof body !== 'string') throw nonsense(policyDomain, 'body is not a string')
  if (!isTime(fetchedAt)) throw nonsense(policyDomain, 'fetchedAt is not a time')
  if (!isTime(expiresAt)) throw nonsense(policyDomain, 'expiresAt is not a time')
  if (!isTime(usedAt)) throw nonsense(policyDomain, 'usedAt is not a time')
  return { id, body, fetchedAt, expiresAt, usedAt }
}

/** The text that SQLite and Redis keep. Throws as {@link checkEntry} does. */
export function encodeEntry(policyDomain: string, entry: StoredPolicy): string {
  return JSON.stringify(checkEntry(entry, policyDomain))
}

/** The entry that a text stands for. Throws as {@link checkEntry} does. */
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
 * The entries of a store, page by page. One that is nonsense does not hide the others: they all
 * come first, and the `ESTOREVALUE` error of the first nonsense is thrown at the end.
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
