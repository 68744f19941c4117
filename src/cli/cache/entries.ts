/**
 * The entries of a store, as they are shown.
 *
 * @module
 */
import { MtaStsError } from '../../errors.js'
import { type PolicyMode, parsePolicy } from '../../policy/policy-file.js'
import type { PolicyStore, StoredPolicy } from '../../policy/store.js'
import type { CliContext } from '../context.js'

/** The output of a `cache` command, and its form. */
export interface CacheOutput {
  context: CliContext
  json: boolean
}

/** One policy in the JSON of `mta-sts cache`. Times are ISO 8601 in UTC. */
export interface Entry {
  domain: string
  /** `null`: the body is no policy file */
  mode: PolicyMode | null
  id: string
  fetchedAt: string
  expiresAt: string
  /** The time when a delivery last asked for it, to within a day */
  usedAt: string
  expired: boolean
  body: string
}

/** Returns entries in the order of the domains, and the error that ended the list, if any. */
export async function entriesOf(
  store: PolicyStore,
  now: number,
): Promise<{ entries: Entry[]; error?: unknown }> {
  if (store.list === undefined) throw new MtaStsError('This store cannot be listed.', 'ESTORE')
  const entries: Entry[] = []
  const sorted = () => entries.sort((a, b) => (a.domain < b.domain ? -1 : 1))
  try {
    for await (const [domain, stored] of store.list()) entries.push(toEntry(domain, stored, now))
  } catch (error) {
    return { entries: sorted(), error }
  }
  return { entries: sorted() }
}

export async function entryOf(
  store: PolicyStore,
  domain: string,
  now: number,
): Promise<Entry | undefined> {
  const stored = await store.get(domain)
  return stored && toEntry(domain, stored, now)
}

function toEntry(domain: string, stored: StoredPolicy, now: number): Entry {
  const { id, body, fetchedAt, expiresAt, usedAt } = stored
  return {
    domain,
    mode: modeOf(body),
    id,
    fetchedAt: isoTime(fetchedAt),
    expiresAt: isoTime(expiresAt),
    usedAt: isoTime(usedAt),
    expired: expiresAt <= now,
    body,
  }
}

function modeOf(body: string): PolicyMode | null {
  try {
    return parsePolicy(body).mode
  } catch {
    return null
  }
}

/** Returns ISO 8601; the number itself where no Date can have it. */
function isoTime(time: number): string {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString()
}
