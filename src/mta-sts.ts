/**
 * The front of the package: an object that looks up policies, plans deliveries and carries them out
 * with the caller's attempts.
 *
 * @module
 */

import type { Attempt } from './delivery/attempt.js'
import { deliver } from './delivery/deliver.js'
import { type Destination, parseDestination } from './delivery/destination.js'
import { storeError } from './delivery/errors.js'
import { HostLookups } from './delivery/host-lookups.js'
import { Opener, type OpenerOptions } from './delivery/opener.js'
import { type DeliveryPlan, type PlanOptions, planDelivery } from './delivery/plan.js'
import { PolicyLookups } from './delivery/policy-lookups.js'
import { DeliveryRecord, type DeliverySummary } from './delivery/record.js'
import type { TlsDemand } from './delivery/required-security.js'
import { ask } from './dns/resolver.js'
import { MtaStsError } from './errors.js'
import type { Connect } from './net/connect.js'
import { argumentError, checkKnown, namesOf, oneOf } from './option-checks.js'
import { guarded, type MtaStsOptions, resolveOptions, type Settings } from './options.js'
import type { PolicyLookup } from './policy/lookup.js'
import { recordName } from './policy/names.js'
import type { RefreshSummary } from './policy/renewal.js'
import { BrokenTls } from './smtp/broken-tls.js'
import type { OpenOptions, SmtpConnection } from './smtp/connection.js'
import { notOffered } from './smtp/envelope.js'
import { checkOpenOptions } from './smtp/hello.js'
import { textOfThrown } from './text.js'
import type { DaneJudge } from './tls/verdict.js'

/** Options of {@link MtaSts.deliver}. */
export interface DeliverOptions {
  /** The TLS that the message itself demands (RFC 8689); default `policy` */
  demand?: TlsDemand | undefined
  /** `smart-host`: the domain is the host itself, not a recipient's; default `mx` */
  route?: 'mx' | 'smart-host' | undefined
  /** Ends the delivery: `deliver` rejects with its reason. An attempt must observe it itself */
  signal?: AbortSignal | undefined
  /** Called once with the summary of the delivery, before `deliver` settles */
  onEnd?: ((summary: DeliverySummary) => void) | undefined
}

const DELIVER_NAMES = namesOf<keyof DeliverOptions>({
  demand: true,
  route: true,
  signal: true,
  onEnd: true,
})

/** @throws TypeError that names the option which is wrong */
function checkDelivery(options: DeliverOptions, call: string) {
  checkKnown(options, DELIVER_NAMES, { call })
  return {
    demand: oneOf(options, 'demand', ['policy', 'require', 'optional']),
    route: oneOf(options, 'route', ['mx', 'smart-host']),
    signal: options.signal,
    onEnd: options.onEnd,
  }
}

/**
 * The sending side of RFC 8461.
 *
 * @example
 * const sts = new MtaSts()
 * await sts.deliver('example.com', async (candidate, context) => {
 *   const connection = await context.open()
 *   return connection.send({ from: 'me@sender.example', to: ['you@example.com'] }, message)
 * })
 */
export class MtaSts implements AsyncDisposable {
  /** Opens TCP connections: the option of this name, or its default */
  readonly connect: Connect
  readonly #settings: Settings
  readonly #hosts: HostLookups
  readonly #policies: PolicyLookups
  readonly #openerOptions: OpenerOptions
  readonly #planOptions: Readonly<Record<TlsDemand, PlanOptions>>

  /** @throws TypeError that names the wrong option */
  constructor(options: MtaStsOptions = {}) {
    const settings = guarded(resolveOptions(options))
    this.#hosts = new HostLookups(settings)
    this.#policies = new PolicyLookups(settings)
    const { dane } = settings
    const judgeDane: DaneJudge | undefined = dane && ((...what) => dane.judge(...what))
    const plans = { ...settings, lookups: this.#hosts, judgeDane }
    this.#openerOptions = {
      ...settings,
      opened: new WeakMap(),
      judgeDane,
      brokenTls: new BrokenTls(),
    }
    this.#planOptions = {
      policy: { ...plans, demand: 'policy', shared: new WeakMap() },
      require: { ...plans, demand: 'require', shared: new WeakMap() },
      optional: { ...plans, demand: 'optional', shared: new WeakMap() },
    }
    this.#settings = settings
    this.connect = settings.connect
  }

  /**
   * Returns the policy of a domain: at once when it is cached, else after a TXT lookup and a GET
   * (RFC 8461 §3). No action of a remote party makes it reject.
   *
   * @param domain the recipient's domain, in A-labels or U-labels, or an address literal
   * @throws MtaStsError `EDOMAIN` for any other text; `ECLOSED` when the object is closed, also
   * before the policy is known
   */
  async getPolicy(domain: string): Promise<PolicyLookup> {
    return this.#policies.find(domain)
  }

  /**
   * Returns the MX hosts of a domain in order, each with the proof that it must give (RFC 8461 §4,
   * §5).
   *
   * @throws RoutingError when the domain has no host for mail, or its lookup failed
   */
  async plan(
    domain: string,
    options: Pick<DeliverOptions, 'demand' | 'route'> = {},
  ): Promise<DeliveryPlan> {
    const { demand, route } = checkDelivery(options, 'plan()')
    return this.#plan(new DeliveryRecord(parseDestination(domain, route)), demand)
  }

  /**
   * Carries a delivery out (RFC 8461 §5.1): calls `attempt` for the candidates in turn until one
   * succeeds, and returns its result. See {@link Attempt} for the meaning of its errors.
   *
   * @throws DeliveryRefusedError when no MX host proved what it had to; temporary: try again later
   * @throws RoutingError when there is no host to deliver to
   * @throws MtaStsError `ECLOSED` when the object is closed, also before the policy is known
   * @throws the attempt's error, when that was final or nothing else is left
   */
  async deliver<T>(domain: string, attempt: Attempt<T>, options: DeliverOptions = {}): Promise<T> {
    if (typeof attempt !== 'function') {
      throw argumentError(['deliver()', 'attempt'], 'must be a function', attempt)
    }
    const { demand, route, signal, onEnd } = checkDelivery(options, 'deliver()')
    const record = new DeliveryRecord(parseDestination(domain, route))
    const opener = new Opener(record, this.#openerOptions)
    const steps = {
      plan: () => this.#plan(record, demand),
      lookAgain: (again: { mismatch: boolean }) =>
        this.#policies.lookAgain(record.destination, again),
      isCurrent: ({ lookup }: DeliveryPlan) => this.#policies.isCurrent(record.destination, lookup),
      open: opener.open,
      reuse: opener.reuse,
      requireTls: demand === 'require',
      signal,
    }
    try {
      return await this.#hosts.during(() => deliver(steps, record, attempt))
    } finally {
      this.#callback(() => onEnd?.(record.summary()))
    }
  }

  /**
   * Connects to an MX host of the domain that has proved what it must: {@link MtaSts.deliver} with
   * an attempt that only opens. Its `send` rejects once the domain has another policy.
   *
   * @example
   * const connection = await sts.open('example.com')
   * await connection.send({ from: 'me@sender.example', to: ['you@example.com'] }, message)
   * await connection.quit()
   *
   * @throws as {@link MtaSts.deliver} does; an unreachable host is an error with `code`
   * ECONNECTION, ETIMEDOUT or EPROTOCOL
   */
  async open(domain: string, options: OpenOptions & DeliverOptions = {}): Promise<SmtpConnection> {
    const { demand, route, onEnd, ...open } = options
    checkOpenOptions(open)
    const attempt: Attempt<SmtpConnection> = async (_, context) => {
      const connection = await context.open(open)
      if (demand !== 'require' || connection.extensions.has('REQUIRETLS')) return connection
      // The next host may offer it
      void connection.quit()
      throw notOffered(connection)
    }
    return this.deliver(domain, attempt, { demand, route, onEnd, signal: open.signal })
  }

  /**
   * Looks for a new policy now, even directly after the last lookup (RFC 8461 §5.1): for programs
   * that try the MX hosts themselves, before they give up. A cached policy stays unless there is a
   * new one.
   *
   * @throws MtaStsError `EDOMAIN`, `ECLOSED`
   */
  async lookAgain(domain: string): Promise<PolicyLookup> {
    return this.#policies.lookAgain(parseDestination(domain))
  }

  /**
   * Fetches every cached policy that was used in the last 30 days and is due. Runs automatically
   * once in `refreshInterval`. Never rejects.
   */
  refresh(): Promise<RefreshSummary> {
    return this.#policies.refresh()
  }

  /**
   * Checks that the resolver and the store answer.
   *
   * @throws MtaStsError `EDNS` for the resolver; the store's error for the store
   */
  async verify(): Promise<true> {
    const { resolver, dnsTimeout } = this.#settings
    const answer = await ask(() => resolver.resolveTxt(recordName('example.com')), dnsTimeout)
    if (answer.kind === 'failed') {
      const { error } = answer
      const hint = 'Check the name servers, or give another resolver.'
      throw new MtaStsError(`The resolver does not answer (${error.message}). ${hint}`, 'EDNS', {
        cause: error,
      })
    }
    await this.#policies.verifyStore()
    return true
  }

  /**
   * Ends the background work and closes the store. Running lookups and all later calls reject with
   * `ECLOSED`; nothing more is cached.
   */
  async close(): Promise<void> {
    await this.#policies.close()
  }

  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Plans a delivery by the policy that applies now, and records that policy. */
  async #plan(record: DeliveryRecord, demand: TlsDemand): Promise<DeliveryPlan> {
    const { destination } = record
    void this.#settings.dane?.probe(this.#settings.logger)
    const mxHosts =
      destination.kind === 'domain'
        ? this.#hosts.mx(destination.name, this.#usesDane(destination, demand))
        : ({ kind: 'absent', nxdomain: false } as const)
    const found = this.#policies.of(destination)
    const lookup = found instanceof Promise ? await found : found
    record.begin(lookup)
    if (lookup.status === 'none' && lookup.reason === 'store-failure')
      throw storeError(destination.name)
    return planDelivery({ destination, lookup, mxHosts }, this.#planOptions[demand])
  }

  /**
   * Whether DANE applies. The operator's override and `TLS-Required: No` (RFC 8689 §3) disable it.
   */
  #usesDane({ name }: Destination, demand: TlsDemand): boolean {
    return demand !== 'optional' && !this.#policies.isExempt(name)
  }

  /** Calls back into the user's program; logs its errors. */
  #callback(call: () => void): void {
    try {
      call()
    } catch (error) {
      const entry = { tnx: 'mta-sts', err: error }
      this.#settings.logger?.error(entry, 'onEnd failed: %s', textOfThrown(error))
    }
  }
}
