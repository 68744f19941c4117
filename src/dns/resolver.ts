/**
 * DNS lookups, and the difference between no record and a failed lookup: a name without records
 * says something about the domain, a lookup that failed does not.
 *
 * @module
 */
import { promises as dns } from 'node:dns'
import { errorOfThrown } from '../text.js'

/** The part of `node:dns/promises` that is used; any object of this shape will do. */
export interface Resolver {
  /** The strings of each TXT record */
  resolveTxt(hostname: string): Promise<string[][]>
  /** The MX records, in any order; `priority` is what the DNS calls preference */
  resolveMx(hostname: string): Promise<Array<{ exchange: string; priority: number }>>
  /** IPv4 addresses, as text */
  resolve4(hostname: string): Promise<string[]>
  /** IPv6 addresses, as text */
  resolve6(hostname: string): Promise<string[]>
}

/**
 * The answer to a lookup. `absent` is the DNS's own answer (NXDOMAIN, or no record of the type);
 * `failed` is everything else: SERVFAIL, REFUSED, a timeout, an unreachable server.
 */
export type Answer<T> =
  | { kind: 'found'; records: T[] }
  | { kind: 'absent'; nxdomain: boolean }
  | { kind: 'failed'; error: Error }

/** Returns the system's resolver; it asks once more when the first try times out. */
export function defaultResolver(timeout: number): Resolver {
  return new dns.Resolver({ timeout: Math.max(1, Math.floor(timeout / 2)), tries: 2 })
}

/**
 * Asks, and waits no longer than `timeout` milliseconds. Never rejects: an answer that is not of
 * the promised shape counts as a lookup that failed.
 *
 * @param isRecord whether a record is of the promised shape: a resolver of the caller's own may
 *   answer anything
 */
export async function ask<T>(
  query: () => Promise<T[]>,
  timeout: number,
  isRecord: (record: unknown) => boolean = () => true,
): Promise<Answer<T>> {
  let timer: NodeJS.Timeout | undefined
  try {
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(timeoutError(timeout)), timeout)
    })
    const answer = await Promise.race([query(), late])
    if (!Array.isArray(answer)) throw new TypeError('The resolver did not return an array')
    // A copy: `every` passes over the holes of a sparse array
    const records = [...answer]
    if (!records.every(isRecord)) throw new TypeError('The resolver returned something else')
    return records.length === 0 ? { kind: 'absent', nxdomain: false } : { kind: 'found', records }
  } catch (cause) {
    const error = errorOfThrown(cause)
    const code = 'code' in error ? error.code : undefined
    if (code === 'ENODATA') return { kind: 'absent', nxdomain: false }
    if (code === 'ENOTFOUND') return { kind: 'absent', nxdomain: true }
    return { kind: 'failed', error }
  } finally {
    clearTimeout(timer)
  }
}

/** Whether a record of `resolveTxt` is a list of strings. */
export function isTextRecord(record: unknown): boolean {
  return Array.isArray(record) && [...record].every((text) => typeof text === 'string')
}

function timeoutError(timeout: number): Error {
  return Object.assign(new Error(`No DNS answer within ${timeout} ms`), { code: 'ETIMEOUT' })
}
