/**
 * DNS lookups that distinguish a name without records from a failed lookup, which says nothing
 * about the domain.
 *
 * @module
 */
import { builtins } from '../builtins.js'
import { withinTime } from '../net/deadline.js'
import { errorOfThrown } from '../text.js'

/** The used part of `node:dns/promises`; any object of this shape works. */
export interface Resolver {
  /** The strings of each TXT record */
  resolveTxt(hostname: string): Promise<string[][]>
  /** The MX records, in any order; `priority` is the preference */
  resolveMx(hostname: string): Promise<Array<{ exchange: string; priority: number }>>
  /** IPv4 addresses, as text */
  resolve4(hostname: string): Promise<string[]>
  /** IPv6 addresses, as text */
  resolve6(hostname: string): Promise<string[]>
}

/**
 * The answer to a lookup. `absent` is an answer of the DNS (NXDOMAIN, or no record of the type);
 * `failed` is everything else: SERVFAIL, REFUSED, a timeout, an unreachable server.
 */
export type Answer<T> =
  | { kind: 'found'; records: T[] }
  | { kind: 'absent'; nxdomain: boolean }
  | { kind: 'failed'; error: Error }

/** Returns the system's resolver, which tries a second time after a timeout. */
export function defaultResolver(timeout: number): Resolver {
  return new builtins.dns.promises.Resolver({
    timeout: Math.max(1, Math.floor(timeout / 2)),
    tries: 2,
  })
}

/**
 * Asks a resolver, for at most `timeout` milliseconds. Never rejects: an answer of the wrong shape
 * counts as a failed lookup.
 *
 * @param isRecord whether a record has the right shape: the caller's own resolver may return
 * anything
 */
export async function ask<T>(
  query: () => Promise<T[]>,
  timeout: number,
  isRecord: (record: unknown) => boolean = () => true,
): Promise<Answer<T>> {
  try {
    const limit = { milliseconds: timeout, late: () => timeoutError(timeout) }
    const answer = await withinTime(limit, query)
    if (!Array.isArray(answer)) throw new TypeError('The resolver did not return an array')
    // A copy: `every` skips the holes of a sparse array
    const records = [...answer]
    if (!records.every(isRecord)) throw new TypeError('The resolver returned something else')
    return records.length === 0 ? { kind: 'absent', nxdomain: false } : { kind: 'found', records }
  } catch (cause) {
    const error = errorOfThrown(cause)
    const code = 'code' in error ? error.code : undefined
    if (code === 'ENODATA') return { kind: 'absent', nxdomain: false }
    if (code === 'ENOTFOUND') return { kind: 'absent', nxdomain: true }
    return { kind: 'failed', error }
  }
}

export function isTextRecord(record: unknown): boolean {
  return Array.isArray(record) && [...record].every((text) => typeof text === 'string')
}

function timeoutError(timeout: number): Error {
  return Object.assign(new Error(`No DNS answer within ${timeout} ms`), { code: 'ETIMEOUT' })
}
