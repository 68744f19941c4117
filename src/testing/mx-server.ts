/**
 * An MX host: an SMTP server with STARTTLS on port 25, with its faults and rules.
 *
 * @module
 */
import type { Socket } from 'node:net'
import { type Arrival, Endpoint, type EndpointSetup } from './endpoint.js'
import { MX_FAULTS, placeOfMxFault } from './fault-places.js'
import { inSlot, type Place } from './fault-stack.js'
import type { MxFault } from './faults.js'
import {
  type BounceOptions,
  checkBounce,
  type GreylistOptions,
  greylisting,
  knowing,
  type LimitOptions,
  limiting,
} from './habits.js'
import type { ListeningPort, MxHost, Offers, SmartHostOptions } from './host-api.js'
import { atConnect, checkHostRule, HostRules, WITHOUT_STARTTLS, withTimes } from './host-rules.js'
import { type Inbox, newInbox } from './inbox.js'
import type { Judged } from './judged.js'
import type { MxConnection } from './log.js'
import type { Accept } from './loopback.js'
import type { ReceivedMessage } from './message.js'
import { MxSession } from './mx-session.js'
import { checkName, checkNoArguments, shown } from './named.js'
import { checkOffers } from './offers.js'
import { Port } from './ports.js'
import {
  type AddressPattern,
  type Decide,
  matchesAddress,
  type Rule,
  type RuleBook,
  ruleTitle,
  sequenceOf,
} from './rules.js'
import type { SmtpSession, SmtpSessionSetup } from './smtp-session.js'
import {
  checkFaultOptions,
  type FaultHandle,
  type FaultOptions,
  joined,
  Standing,
} from './standing.js'

/** Recipients whose mail bounces. */
export interface Bounce {
  standing: Standing
  options: BounceOptions
}

export interface MxServerSetup extends EndpointSetup {
  options: SmartHostOptions
  Session: new (setup: SmtpSessionSetup) => SmtpSession
  /** Rules of the whole world, asked after those of the host */
  worldRules: RuleBook
  /** Takes an accepted message; resolves before the client gets its reply */
  onMessage: (message: ReceivedMessage, host: MxServer) => Promise<void>
  /** Returns why mail for a recipient is refused; undefined if it is not */
  stray: (recipient: string) => string | undefined
}

export class MxServer extends Endpoint<MxFault> implements MxHost {
  readonly inbox: Inbox
  readonly options: SmartHostOptions
  readonly #setup: MxServerSetup
  readonly #port: number
  readonly #rules: HostRules
  #bounces: Bounce[] = []
  #offers: Array<{ standing: Standing; offers: Offers }> = []
  #listening: Promise<ListeningPort> | undefined

  constructor(setup: MxServerSetup) {
    super(setup)
    this.#setup = setup
    this.options = setup.options
    this.#port = setup.options.port ?? 25
    const { log, explain, random } = setup.surroundings
    this.#rules = new HostRules(setup.worldRules, random)
    this.inbox = newInbox({ name: setup.name, log, explain })
  }

  override fails(fault: MxFault, options?: FaultOptions): FaultHandle {
    checkFaultOptions('fails()', options)
    if (typeof fault !== 'object' || fault === null) {
      checkName('fails(): the fault', fault, MX_FAULTS)
      if (this.#stages.secure && placeOfMxFault(fault).slot === 'starttls') {
        throw new TypeError(
          `fails(): ${shown(fault)} is met at STARTTLS, which ${WITHOUT_STARTTLS}`,
        )
      }
      return this.addFault(fault, options)
    }
    checkHostRule('fails()', fault, this.#stages)
    const rules = sequenceOf(fault)
    const standings: Standing[] = []
    // The newest fault of a place is played first: the first of a sequence is set last
    for (const [index, rule] of [...rules.entries()].reverse()) {
      const bounds = index === 0 ? options : { ...options, times: undefined }
      standings.unshift(this.addFault(rule, withTimes(rule, bounds)))
    }
    this.#rules.addSequence(rules, standings)
    return joined(standings)
  }

  rule(rule: Rule): FaultHandle {
    this.surroundings.assertOpen('rule()')
    checkHostRule('rule()', rule, this.#stages)
    const { clock, register } = this.surroundings
    const rules = sequenceOf(rule)
    const standings = rules.map((one) => {
      const standing = new Standing({ title: ruleTitle(one), clock, options: withTimes(one) })
      register.add(this.name, standing)
      return standing
    })
    this.#rules.addSequence(rules, standings)
    return joined(standings)
  }

  greylists(options: GreylistOptions = {}): FaultHandle {
    return this.#habit('greylists()', greylisting(options, this.surroundings.clock))
  }

  knows(addresses: readonly AddressPattern[]): FaultHandle {
    return this.#habit('knows()', knowing(addresses))
  }

  limits(options: LimitOptions): FaultHandle {
    const { clock } = this.surroundings
    const limits = this.#habit('limits()', limiting(options, { clock, open: () => this.open }))
    if (options.size === undefined) return limits
    return joined([limits, this.offers({ SIZE: options.size })])
  }

  bounces(options: BounceOptions = {}): FaultHandle {
    checkBounce(options)
    const standing = this.standing('bounces()', () => undefined)
    this.#bounces.unshift({ standing, options })
    return standing
  }

  offers(offers: Offers): FaultHandle {
    checkOffers(offers)
    const standing = this.standing('offers()', () => undefined)
    this.#offers.push({ standing, offers })
    return standing
  }

  async listen(...given: unknown[]): Promise<ListeningPort> {
    checkNoArguments('listen()', given)
    this.surroundings.assertOpen('listen()')
    this.#listening ??= this.#openPort()
    return this.#listening
  }

  /** Opens a port that the world closes, also when it is closed before the port is open. */
  #openPort(): Promise<Port> {
    const { ports, log, clock } = this.surroundings
    const forget = () => {
      ports.delete(opening)
      this.#listening = undefined
    }
    const { options } = this
    const setup = { host: this, port: this.#port, options, log, clock, onClose: forget }
    const opening: Promise<Port> = Port.open(setup)
    ports.add(opening)
    opening.catch(forget)
    return opening
  }

  override reset(...given: unknown[]): void {
    super.reset(...given)
    this.#rules.clear()
    this.#bounces = []
    this.#offers = []
  }

  get connections(): MxConnection[] {
    return this.surroundings.log.of('smtp').filter(({ mx }) => mx === this.name)
  }

  judged(): Judged {
    const { explain, strays } = this.surroundings
    const { name, inbox, connections } = this
    return { name, inbox, connections, strays: strays(), explain }
  }

  /** Returns the options of the bounce of a recipient; undefined: it does not bounce. */
  bounced(recipient: string): BounceOptions | undefined {
    const found = this.#bounces.find(
      ({ standing, options }) => !standing.over && concerns(options.to, recipient),
    )
    found?.standing.meet()
    return found?.options
  }

  protected override hasIPv6(): boolean {
    return this.options.ipv6 === true
  }

  protected placeOf(fault: MxFault): Place {
    return placeOfMxFault(fault)
  }

  protected accepts(arrival: Arrival): Accept | undefined {
    if (arrival.port !== this.#port) return undefined
    const unreachable = inSlot(this.playedOn(arrival), 'connect')
    if (unreachable?.fault === 'unreachable') {
      unreachable.standing.meet()
      return undefined
    }
    const { act } = this.#rules.ask(atConnect(arrival))
    if (act === 'refuse' || act === 'drop') return undefined
    if (act === 'reset') return (socket) => socket.resetAndDestroy()
    if (act === 'stall') return (socket) => socket.resume()
    return (socket) => {
      this.#serve(socket, arrival).catch((error) => socket.destroy(error))
    }
  }

  #serve(socket: Socket, arrival: Arrival): Promise<void> {
    const { Session, onMessage, stray } = this.#setup
    return new MxSession({
      host: this,
      socket,
      arrival,
      surroundings: this.surroundings,
      Session,
      played: this.playedOn(arrival),
      offers: this.#offered(),
      tls: this.tlsSettings,
      ask: (moment) => this.#rules.ask(moment),
      stray,
      onMessage: (message) => onMessage(message, this),
    }).serve()
  }

  #offered(): Offers {
    const inForce = this.#offers.filter(({ standing }) => !standing.over)
    for (const { standing } of inForce) standing.meet()
    return Object.assign({}, ...inForce.map(({ offers }) => offers))
  }

  get #stages() {
    const { auth, secure = this.#port === 465 } = this.options
    return { takesLogins: auth !== undefined, secure }
  }

  #habit(title: string, decide: Decide): Standing {
    const standing = this.standing(title, () => undefined)
    this.#rules.add(standing, decide)
    return standing
  }
}

function concerns(pattern: AddressPattern | undefined, recipient: string): boolean {
  return pattern === undefined || matchesAddress(pattern, recipient)
}
