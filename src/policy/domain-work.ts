/**
 * Work on Policy Domains that takes time: at most one piece at a time for each domain, whose result
 * the callers share. Work in the background waits for a place first.
 *
 * @module
 */
import type { PolicyLookup } from './lookup.js'
import type { Slots } from './slots.js'

/** Work that is under way. */
export interface InFlight {
  purpose: 'lookup' | 'mismatch' | 'pass'
  result: Promise<PolicyLookup>
}

export interface DomainWorkOptions {
  slots: Slots
  /** Called when the work on a domain has ended */
  onEnd: (policyDomain: string) => void
}

export class DomainWork {
  readonly #slots: Slots
  readonly #onEnd: DomainWorkOptions['onEnd']
  readonly #inFlight = new Map<string, InFlight>()
  /** Number of background tasks under way */
  #backgroundTasks = 0

  constructor({ slots, onEnd }: DomainWorkOptions) {
    this.#slots = slots
    this.#onEnd = onEnd
  }

  get busy(): boolean {
    return this.#inFlight.size > 0 || this.#backgroundTasks > 0
  }

  /** Returns the work that is under way on a domain. */
  on(policyDomain: string): InFlight | undefined {
    return this.#inFlight.get(policyDomain)
  }

  /** Begins the work on a domain, which must have none under way. */
  begin(
    policyDomain: string,
    purpose: InFlight['purpose'],
    work: () => Promise<PolicyLookup>,
  ): Promise<PolicyLookup> {
    const result = work().finally(() => {
      this.#inFlight.delete(policyDomain)
      this.#onEnd(policyDomain)
    })
    this.#inFlight.set(policyDomain, { purpose, result })
    return result
  }

  /**
   * Waits for a place, and only then begins the work on the domain: a delivery must not wait in
   * line with it. Resolves to false when other work on the domain has begun meanwhile.
   */
  beginWhenFree(
    policyDomain: string,
    purpose: InFlight['purpose'],
    work: () => Promise<PolicyLookup>,
    onPlace?: () => void,
  ): Promise<boolean> {
    return this.#slots.run('background', async () => {
      onPlace?.()
      if (this.#inFlight.has(policyDomain)) return false
      await this.begin(policyDomain, purpose, work)
      return true
    })
  }

  /** Counts a task in the background. It fails only when the cache is closing. */
  inBackground(task: Promise<unknown>): void {
    this.#backgroundTasks++
    const end = () => {
      this.#backgroundTasks--
    }
    task.then(end, end)
  }
}

export async function settled({ result }: InFlight): Promise<void> {
  await result.catch(() => undefined)
}
