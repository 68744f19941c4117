/**
 * The DNS questions that delivery asks, and the difference between "there is none" and "nobody
 * knows": a name without records says something about the domain, a lookup that failed does not.
 *
 * @module
 */
import { promises as dns } from 'node:dns'
import { errorOfThrown } from '../text.js'

/** What of `node:dns/promises` is used; any object of this shape will do. */
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
 * What came of a question. `absent` is the DNS's own answer (NXDOMAIN, or no record of the type);
 * `failed` is everything else: SERVFAIL, REFUSED, a timeout, an unreachable server.
 */
export type Answer<T> =
  | { kind: 'found'; records: T[] }
  | { kind: 'absent'; nxdomain: boolean }
  | { kind: 'failed'; error: Error }

/** The system's resolver, asked once more when the first try times out. */
export function defaultResolver(timeout: number): Resolver {
  return new dns.Resolver({ timeout: Math.max(1, Math.floor(timeout / 2)), tries: 2 })
}

/**
 * Asks, and waits no longer than `timeout` milliseconds. Never rejects: an answer that is not of
 * the promised shape counts as a lookup that failed.
 */
export async function ask<T>(query: () => Promise<T[]>, timeout: number): Promise<Answer<T>> {
  let timer: NodeJS.Timeout | undefined
  try {
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(timeoutError(timeout)), timeout)
    })
    const records = await Promise.race([query(), late])
    if (!Array.isArray(records)) throw new TypeError('The resolver did not return an array')
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

function timeoutError(timeout: number): Error {
  return Object.assign(new Error(`No DNS answer within ${timeout} ms`), { code: 'ETIMEOUT' })
}
