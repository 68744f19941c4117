/**
 * DNSSEC of a mail world: signed names, and queries that fail.
 *
 * @module
 */
import type { LookupFault } from './faults.js'

/** Failures of a query: `bogus` is SERVFAIL with its reason (RFC 8914). */
export type SecureFault = LookupFault | 'bogus'

/** The root: a sender queries it to learn whether its resolver validates. */
const ROOT = ''

export class Dnssec {
  /** Whether the world's resolver validates: without it no answer has the AD bit */
  validating = true
  readonly #signed = new Map<string, boolean>([[ROOT, true]])
  readonly #faults = new Map<string, SecureFault>()

  /** Signs a name and those below it, or makes them unsigned; the nearest name decides. */
  sign(name: string, signed: boolean): void {
    this.#signed.set(name, signed)
  }

  /** Makes the questions of one type for a name fail, or ends that. */
  fails(name: string, type: string, fault: SecureFault | undefined): void {
    if (fault === undefined) this.#faults.delete(`${type} ${name}`)
    else this.#faults.set(`${type} ${name}`, fault)
  }

  /** Removes all signatures except the root's, and all failures. */
  clear(): void {
    this.#signed.clear()
    this.#signed.set(ROOT, true)
    this.#faults.clear()
    this.validating = true
  }

  faultOf(name: string, type: string): SecureFault | undefined {
    return this.#faults.get(`${type} ${name}`)
  }

  isSecure(name: string): boolean {
    if (!this.validating) return false
    for (let rest = name; rest !== ROOT; rest = rest.slice(rest.indexOf('.') + 1)) {
      const signed = this.#signed.get(rest)
      if (signed !== undefined) return signed
      if (!rest.includes('.')) return false
    }
    return true
  }
}
