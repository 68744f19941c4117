/**
 * DNS faults of a domain, by place.
 *
 * @module
 */
import type { DnsFaultOptions, DomainDns } from './api.js'
import type { LookupSource, Surroundings } from './endpoint.js'
import type { DnsFault, DnsPlace, LookupFault } from './faults.js'
import { checkName, checkNoArguments, shown } from './named.js'
import { checkBounds, type FaultHandle, Standing } from './standing.js'

/** A host whose address lookups can fail. */
interface Looked {
  readonly name: string
  lookups(source: LookupSource): void
}

export interface DomainFaultsSetup {
  name: string
  surroundings: Surroundings
  policyHost: Looked
  hosts: readonly Looked[]
}

const LOOKUP_FAULTS = ['nxdomain', 'servfail', 'timeout', 'refused'] as const
const PLACES = ['record', 'mx', 'policy-host', 'mx-hosts'] as const

/** The places of each fault. */
const FITS: Record<DnsFault, readonly DnsPlace[]> = {
  nxdomain: PLACES,
  servfail: PLACES,
  timeout: PLACES,
  refused: PLACES,
  'cname-chain': PLACES,
  'two-records': ['record'],
  'malformed-record': ['record'],
  'split-strings': ['record'],
  'spoofed-mx': ['mx'],
  'null-mx': ['mx'],
  'ipv6-only': ['policy-host', 'mx-hosts'],
}

export class DomainFaults {
  readonly #setup: DomainFaultsSetup
  readonly #faults = new Map<DnsPlace, Array<{ fault: DnsFault; standing: Standing }>>()

  constructor(setup: DomainFaultsSetup) {
    this.#setup = setup
    const { name, surroundings, policyHost, hosts } = setup
    policyHost.lookups((counts) => this.#lookupAt('policy-host', counts))
    for (const host of hosts) host.lookups((counts) => this.#lookupAt('mx-hosts', counts))
    const alias = (who: string, place: DnsPlace): void =>
      surroundings.zone.alias(who, () => this.#isAliased(place))
    alias(`_mta-sts.${name}`, 'record')
    alias(policyHost.name, 'policy-host')
    // A domain that is its own MX host has one name for both
    for (const host of hosts) if (host.name !== name) alias(host.name, 'mx-hosts')
    alias(name, 'mx')
  }

  add(fault: DnsFault, where: DnsPlace | undefined, options: DnsFaultOptions = {}): FaultHandle {
    this.#setup.surroundings.assertOpen('dns.fails()')
    checkName('dns.fails(): the fault', fault, Object.keys(FITS))
    if (where !== undefined) checkName('dns.fails(): the place', where, PLACES)
    checkBounds('dns.fails()', options)
    const { name, surroundings } = this.#setup
    const title = where === undefined ? fault : `${fault} at ${where}`
    const standing = new Standing({ title, clock: surroundings.clock, options })
    surroundings.register.add(`the DNS of ${name}`, standing)
    for (const place of placesOf(fault, where)) {
      const before = this.#faults.get(place) ?? []
      this.#faults.set(place, [{ fault, standing }, ...(standing.bounded ? before : [])])
    }
    return standing
  }

  /** Returns the fault in force at a place; `counts`: it answers a query. */
  at(place: DnsPlace, counts: boolean): DnsFault | undefined {
    const found = this.#faults.get(place)?.find(({ standing }) => !standing.over)
    if (counts) found?.standing.meet()
    return found?.fault
  }

  clear(): void {
    for (const faults of this.#faults.values()) {
      for (const { standing } of faults) standing.replace()
    }
    this.#faults.clear()
  }

  #lookupAt(place: DnsPlace, counts: boolean): LookupFault | 'ipv6-only' | undefined {
    const fault = this.at(place, false)
    if (fault !== 'ipv6-only' && !isLookupFault(fault)) return undefined
    this.at(place, counts)
    return fault
  }

  #isAliased(place: DnsPlace): boolean {
    if (this.at(place, false) !== 'cname-chain') return false
    this.at(place, true)
    return true
  }
}

export function domainDns(faults: DomainFaults): DomainDns {
  return {
    fails: (
      fault: DnsFault,
      where?: DnsPlace | DnsFaultOptions,
      options?: DnsFaultOptions,
    ): FaultHandle => {
      if (typeof where !== 'object' || where === null) return faults.add(fault, where, options)
      const more = options === undefined ? [] : [options]
      checkNoArguments('dns.fails(): behind the options it', more)
      return faults.add(fault, undefined, where)
    },
    works: (...given: unknown[]) => {
      checkNoArguments('dns.works()', given)
      faults.clear()
    },
  }
}

export function isLookupFault(fault: DnsFault | undefined): fault is LookupFault {
  return LOOKUP_FAULTS.some((one) => one === fault)
}

function placesOf(fault: DnsFault, where: DnsPlace | undefined): readonly DnsPlace[] {
  const fits = FITS[fault]
  if (where === undefined) return fits === PLACES ? ['record'] : fits
  if (fits.includes(where)) return [where]
  throw new TypeError(`dns.fails(): ${shown(fault)} fits at ${fits.join(', ')}, not at ${where}`)
}
