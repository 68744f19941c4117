/**
 * What the DNS of a mail world says: names, their records, and the faults in between.
 *
 * @module
 */
import type { TlsaRecord } from '../tls/security.js'
import { Dnssec, type SecureFault } from './dnssec.js'
import type { LookupFault } from './faults.js'

export type RecordType = 'A' | 'AAAA' | 'CNAME' | 'MX' | 'TLSA' | 'TXT'

export type ZoneRecord =
  | { type: 'A' | 'AAAA' | 'CNAME'; data: string }
  | { type: 'MX'; data: { preference: number; exchange: string } }
  | { type: 'TLSA'; data: TlsaRecord }
  /** A string is split at 255 bytes; an array is sent as it is */
  | { type: 'TXT'; data: string | readonly string[] }

/** What a name's owner says to a question: its records of that type, or how it fails. */
export type Provide = (type: string) => readonly ZoneRecord[] | LookupFault

export interface ZoneAnswer {
  outcome: 'answered' | 'nodata' | SecureFault
  /** Whether DNSSEC proves all of it */
  secure: boolean
  records: Array<{ name: string; record: ZoneRecord }>
}

/** A name with an alias is a CNAME for the first of these; the last has its records. */
const ALIAS_HOPS = ['.alias-1.example', '.alias-2.example'] as const

const CNAME_LIMIT = 8
const TYPES: readonly RecordType[] = ['A', 'AAAA', 'CNAME', 'MX', 'TLSA', 'TXT']

export class Zone {
  readonly dnssec = new Dnssec()
  readonly #owners = new Map<string, Provide[]>()
  readonly #aliased = new Set<string>()
  readonly #set = new Map<string, Map<string, readonly ZoneRecord[]>>()
  /** Names above one that exists: they exist too, without records (RFC 8020) */
  readonly #above = new Set<string>()

  /** Several owners of a name add up: a domain may be its own MX host. */
  own(name: string, provide: Provide): void {
    const owners = this.#owners.get(name)
    if (owners) owners.push(provide)
    else this.#owners.set(name, [provide])
    this.#addAbove(name)
  }

  /** Puts `name` behind two CNAMEs, or takes them away. */
  alias(name: string, on: boolean): void {
    if (on) this.#aliased.add(name)
    else this.#aliased.delete(name)
  }

  /** Records that replace whatever the owners say for this name and type. */
  set(name: string, type: RecordType, records: readonly ZoneRecord[] | undefined): void {
    const types = this.#set.get(name) ?? new Map<string, readonly ZoneRecord[]>()
    if (records === undefined) types.delete(type)
    else types.set(type, records)
    this.#set.set(name, types)
    this.#addAbove(name)
  }

  answer(question: string, type: string): ZoneAnswer {
    const records: ZoneAnswer['records'] = []
    let name = question === '.' ? '' : question.toLowerCase()
    let secure = true
    for (let hop = 0; hop < CNAME_LIMIT; hop++) {
      secure &&= this.dnssec.isSecure(name)
      const target = this.#alias(name)
      const found =
        this.dnssec.faultOf(name, type) ??
        (target === undefined ? this.#lookup(name, type) : cname(target))
      if (typeof found === 'string') return { outcome: found, records, secure: false }
      for (const record of found) records.push({ name: hop === 0 ? question : name, record })
      const next = type === 'CNAME' ? undefined : found.find((record) => record.type === 'CNAME')
      if (next === undefined)
        return { outcome: this.#outcome(name, records, found), records, secure }
      name = String(next.data).toLowerCase()
    }
    return { outcome: 'servfail', records: [], secure: false }
  }

  #outcome(
    name: string,
    records: ZoneAnswer['records'],
    last: readonly ZoneRecord[],
  ): ZoneAnswer['outcome'] {
    if (last.length > 0) return 'answered'
    // Of a chain it is the last name that counts (RFC 6604)
    if (!this.#exists(this.#behindAlias(name))) return 'nxdomain'
    return records.length > 0 ? 'answered' : 'nodata'
  }

  #alias(name: string): string | undefined {
    if (this.#aliased.has(name)) return name + ALIAS_HOPS[0]
    const [first, second] = ALIAS_HOPS
    return name.endsWith(first) ? name.slice(0, -first.length) + second : undefined
  }

  #behindAlias(name: string): string {
    const last = ALIAS_HOPS[1]
    return name.endsWith(last) ? name.slice(0, -last.length) : name
  }

  #lookup(alias: string, type: string): readonly ZoneRecord[] | LookupFault {
    const name = this.#behindAlias(alias)
    const set = this.#set.get(name)?.get(type) ?? this.#set.get(name)?.get('CNAME')
    if (set !== undefined) return set
    const found: ZoneRecord[] = []
    for (const provide of this.#owners.get(name) ?? []) {
      const records = provide(type)
      if (typeof records === 'string') return records
      found.push(...records)
    }
    return found
  }

  #exists(name: string): boolean {
    if (this.#above.has(name)) return true
    return TYPES.some((type) => {
      const found = this.#lookup(name, type)
      return typeof found !== 'string' && found.length > 0
    })
  }

  #addAbove(name: string): void {
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
      this.#above.add(name.slice(dot + 1))
    }
  }
}

function cname(target: string): readonly ZoneRecord[] {
  return [{ type: 'CNAME', data: target }]
}
