/**
 * One delivery in Haraka: `MtaSts.deliver` chooses the MX hosts and opens the connections, Haraka
 * sends the message on them and asks for the next host after a failure.
 *
 * @module
 */

import type { DeliveryContext } from '../delivery/attempt.js'
import type { Candidate } from '../delivery/candidate.js'
import type { DeliverySummary } from '../delivery/record.js'
import type { MtaSts } from '../mta-sts.js'
import { errorText } from '../plugins/text.js'
import type { OpenOptions, SmtpConnection } from '../smtp/connection.js'
import { errorOfThrown } from '../text.js'
import { dsnOf, isPermanent } from './failure.js'
import type { HarakaHost, HarakaMx, HMail, OutboundSocket } from './host.js'
import { HandedOverSocket } from './socket.js'

/** An MX host for Haraka, identified by the object that Haraka asks with. */
export interface Offer {
  /** The socket of a connection that has proved what it must; undefined: Haraka connects itself */
  socket: HandedOverSocket | undefined
  /** Prepares the message for the socket */
  take(): void
  /** Called before MAIL FROM */
  objection(): Error | undefined
}

export interface DeliverySetup {
  host: HarakaHost
  sts: MtaSts
  offers: WeakMap<HarakaMx, Offer>
  open: OpenOptions
  /** Called once with the summary of the delivery */
  onEnd(summary: DeliverySummary): void
}

/** Methods that end Haraka's work on a message. */
const ENDS = ['delivered', 'temp_fail', 'bounce', 'discard'] as const

/** Haraka has ended the delivery itself: deferred, bounced or split the message. */
class EndedByHaraka extends Error {}

export class HarakaDelivery {
  readonly #hmail: HMail
  readonly #setup: DeliverySetup
  /** Settles the attempt at Haraka's current host */
  #attempt: { resolve: () => void; reject: (error: Error) => void } | undefined
  #summary: DeliverySummary | undefined
  #begun = false
  #over = false

  constructor(hmail: HMail, setup: DeliverySetup) {
    this.#hmail = hmail
    this.#setup = setup
  }

  /**
   * Inserts this delivery between Haraka's list of MX hosts and its attempts, until Haraka has
   * finished the message: Haraka calls `try_deliver` for every host.
   */
  attach(): void {
    const hmail = this.#hmail
    hmail.try_deliver = () => this.#next()
    for (const name of ENDS) {
      const own = Reflect.get(Object.getPrototypeOf(hmail), name)
      Reflect.set(hmail, name, (...facts: unknown[]) => {
        this.#end(name)
        return Reflect.apply(own, hmail, facts)
      })
    }
  }

  /** Detaches: the same message may be delivered again later, and then starts afresh. */
  #detach(): void {
    for (const name of ['try_deliver', ...ENDS]) Reflect.deleteProperty(this.#hmail, name)
  }

  #next(): void {
    if (this.#begun) {
      this.#attempt?.reject(new Error('The MX host did not accept the message'))
      return
    }
    this.#begun = true
    const { sts } = this.#setup
    const { domain } = this.#hmail.todo
    const onEnd = (summary: DeliverySummary) => {
      this.#summary = summary
      this.#setup.onEnd(summary)
    }
    const attempt = (candidate: Candidate, context: DeliveryContext) =>
      this.#try(candidate, context)
    sts.deliver(domain, attempt, { onEnd }).catch((error) => this.#giveUp(error))
  }

  async #try(candidate: Candidate, context: DeliveryContext): Promise<void> {
    try {
      if (this.#isHarakasOwn(candidate)) return await this.#letHarakaConnect(candidate, context)
      const connection = await context.open(this.#openOptions())
      this.#takeNote(connection, context)
      await this.#handOver(connection, context)
    } catch (error) {
      if (error instanceof EndedByHaraka) context.stop(error)
      context.assertCurrent()
      throw error
    }
  }

  /** Whether the operator exempts a host from TLS, and nothing must be proved. */
  #isHarakasOwn({ mxHost, addresses, security }: Candidate): boolean {
    if (security.level !== 'opportunistic' || security.audit) return false
    const { host } = this.#setup
    const names = [this.#hmail.todo.domain, mxHost, ...addresses]
    return host.outbound().enable_tls === false || names.some((name) => host.isWithoutTls(name))
  }

  async #letHarakaConnect(
    { mxHost, port, addresses }: Candidate,
    context: DeliveryContext,
  ): Promise<void> {
    let last: unknown
    for (const address of addresses) {
      const mx = { exchange: address, from_dns: mxHost, port }
      try {
        return await this.#offer(mx, { context })
      } catch (error) {
        if (error instanceof EndedByHaraka || context.outdated) throw error
        last = error
      }
    }
    throw last
  }

  #handOver(connection: SmtpConnection, context: DeliveryContext): Promise<void> {
    const { mxHost, address, port, tls, proved, failures } = connection
    const { host } = this.#setup
    const timeout = Number(host.outbound().connect_timeout) || 30
    const socket = new HandedOverSocket({
      mxHost,
      socket: connection.handOver(),
      showsStartTls: host.outbound().enable_tls !== false,
      proved: proved.length > 0,
      tlsFailed: tls === false && failures.some(({ reason }) => reason !== 'not-offered'),
      objection: () => objectionOf(context),
      timeout: timeout * 1000,
    })
    return this.#offer({ exchange: address, from_dns: mxHost, port }, { context, socket })
  }

  /** Makes Haraka try this host only; settles when it has finished. */
  #offer(
    mx: HarakaMx,
    { context, socket }: { context: DeliveryContext; socket?: HandedOverSocket },
  ): Promise<void> {
    const hmail = this.#hmail
    const { host, offers } = this.#setup
    const made = host.makeMx(mx)
    offers.set(made, {
      socket,
      objection: () => objectionOf(context),
      take: () => {
        if (!socket?.isEncrypted() || host.outbound().enable_tls === false) return
        socket.mustBeVerified = hmail.force_tls
        // Haraka then uses STARTTLS, whatever its lists and its memory of failures contain
        hmail.force_tls = true
      },
    })
    hmail.mxlist = [made]
    return new Promise<void>((resolve, reject) => {
      this.#attempt = { resolve, reject }
      const { try_deliver } = Object.getPrototypeOf(hmail)
      Promise.resolve(Reflect.apply(try_deliver, hmail, [])).catch(reject)
    }).finally(() => socket?.abandon())
  }

  #openOptions(): OpenOptions {
    const { outbound_ip: localAddress, outbound_helo: helo } = this.#hmail.todo.notes
    const { open, host } = this.#setup
    const name = helo ?? open.name ?? host.makeMx({ exchange: this.#hmail.todo.domain }).bind_helo
    return { ...open, name, ...(localAddress === undefined ? {} : { localAddress }) }
  }

  /** Records notes for the hooks `delivered`, `deferred` and `bounce`; the full summary follows. */
  #takeNote({ mxHost, address, tls, proved }: SmtpConnection, context: DeliveryContext): void {
    const { lookup, policyDomain } = context.plan
    const found = lookup.status === 'found' ? lookup : undefined
    const note = {
      policyDomain,
      mode: found?.policy.mode ?? 'none',
      ...(found ? { policyId: found.id } : {}),
      mxHost,
      address,
      tls,
      proved: proved.join('+') || 'nothing',
      failures: [...context.failures],
    }
    Object.assign(this.#hmail.notes, { mta_sts: note })
  }

  #end(how: (typeof ENDS)[number]): void {
    if (this.#over) return
    this.#over = true
    this.#detach()
    if (how === 'delivered') this.#attempt?.resolve()
    else this.#attempt?.reject(new EndedByHaraka(how))
  }

  /** Ends the message in Haraka when no host has accepted it. */
  #giveUp(thrown: unknown): void {
    if (this.#over || thrown instanceof EndedByHaraka) return
    this.#over = true
    this.#detach()
    const hmail = this.#hmail
    const error = errorOfThrown(thrown)
    const text = errorText(error, this.#summary)
    const dsn = dsnOf(error, text)
    for (const recipient of hmail.todo.rcpt_to) hmail.extend_rcpt_with_dsn(recipient, dsn)
    if (isPermanent(error)) hmail.bounce(text)
    else hmail.temp_fail(text)
  }
}

function objectionOf(context: DeliveryContext): Error | undefined {
  return context.outdated ? new Error('The MTA-STS policy has changed') : undefined
}

/** Stops Haraka before MAIL FROM on its own socket, if there is an objection. */
export function watch(socket: OutboundSocket, offer: Offer): void {
  const { write } = socket
  socket.write = (data, ...rest) => {
    const objection = /^MAIL\b/i.test(String(data).slice(0, 5)) ? offer.objection() : undefined
    if (!objection) return Reflect.apply(write, socket, [data, ...rest])
    setImmediate(() => socket.emit('error', objection))
    return true
  }
}
