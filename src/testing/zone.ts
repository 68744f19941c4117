/**
 * The DNS of a mail world: names, their records, and faults.
 *
 * @module
 */
import { Dnssec, type SecureFault } from './dnssec.js'
import type { LookupFault } from './faults.js'
import type { Standing } from './standing.js'
import { RECORD_TYPES, type RecordType, type ZoneRecord } from './zone-records.js'

export type { ZoneRecord }

/**
 * Returns the records of a name of that type, or the fault of the query. `counts`: it answers a
 * query, and is not a check whether the name exists.
 */
export type Provide = (type: string, counts: boolean) => readonly ZoneRecord[] | LookupFault

export interface ZoneAnswer {
  outcome: 'answered' | 'nodata' | SecureFault
  /** Whether DNSSEC proves all of it */
  secure: boolean
  records: Array<{ name: string; record: ZoneRecord }>
}

/** A name with an alias is a CNAME for the first of these; the last has its records. */
const ALIAS_HOPS = ['.alias-1.example', '.alias-2.example'] as const

const CNAME_LIMIT = 8

/** Records in place of those of the owners, until their handle is over. */
interface Replacement {
  records: readonly ZoneRecord[]
  /** Absent: they stay until they are removed */
  standing?: Standing
}

export class Zone {
  readonly dnssec = new Dnssec()
  readonly #owners = new Map<string, Provide[]>()
  readonly #aliased = new Map<string, () => boolean>()
  readonly #set = new Map<string, Map<string, Replacement[]>>()
  /** Names above one that exists: they exist too, without records (RFC 8020) */
  readonly #above = new Set<string>()

  /** Adds an owner of a name. A name may have several: a domain may be its own MX host. */
  own(name: string, provide: Provide): void {
    const owners = this.#owners.get(name)
    if (owners) owners.push(provide)
    else this.#owners.set(name, [provide])
    this.#addAbove(name)
  }

  /** Puts `name` behind two CNAMEs whenever `on` says so. */
  alias(name: string, on: () => boolean): void {
    this.#aliased.set(name, on)
  }

  /** Replaces the owners' records of a name and type; the newest replacement comes first. */
  replace(name: string, type: RecordType, replacement: Replacement): void {
    const types = this.#set.get(name) ?? new Map<string, Replacement[]>()
    types.set(type, [
      replacement,
      ...(types.get(type) ?? []).filter(({ standing }) => !standing?.over),
    ])
    this.#set.set(name, types)
    this.#addAbove(name)
  }

  /** Sets the records of a name and type; undefined removes them. */
  set(name: string, type: RecordType, records: readonly ZoneRecord[] | undefined): void {
    this.unset(name, type)
    if (records !== undefined) this.replace(name, type, { records })
  }

  /** Removes the records that were set for a name and type. */
  unset(name: string, type: RecordType): void {
    for (const { standing } of this.#set.get(name)?.get(type) ?? []) standing?.replace()
    this.#set.get(name)?.delete(type)
  }

  /** Removes everything that was set, aliases included. */
  reset(): void {
    for (const [name, types] of this.#set) {
      for (const type of RECORD_TYPES) if (types.has(type)) this.unset(name, type)
    }
    this.#set.clear()
    this.dnssec.clear()
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
    // The last name of a chain counts (RFC 6604)
    if (!this.#exists(this.#behindAlias(name))) return 'nxdomain'
    return records.length > 0 ? 'answered' : 'nodata'
  }

  #alias(name: string): string | undefined {
    if (this.#aliased.get(name)?.()) return name + ALIAS_HOPS[0]
    const [first, second] = ALIAS_HOPS
    return name.endsWith(first) ? name.slice(0, -first.length) + second : undefined
  }

  #behindAlias(name: string): string {
    const last = ALIAS_HOPS[1]
    return name.endsWith(last) ? name.slice(0, -last.length) : name
  }

  #lookup(alias: string, type: string, counts = true): readonly ZoneRecord[] | LookupFault {
    const name = this.#behindAlias(alias)
    const set = this.#replaced(name, type, counts) ?? this.#replaced(name, 'CNAME', counts)
    if (set !== undefined) return set
    const found: ZoneRecord[] = []
    for (const provide of this.#owners.get(name) ?? []) {
      const records = provide(type, counts)
      if (typeof records === 'string') return records
      found.push(...records)
    }
    return found
  }

  /** Returns the records that were set; `counts`: they answer a query. */
  #replaced(name: string, type: string, counts: boolean): readonly ZoneRecord[] | undefined {
    const all = this.#set.get(name)?.get(type) ?? []
    const found = all.find(({ standing }) => !standing?.over)
    if (counts) found?.standing?.meet()
    return found?.records
  }

  #exists(name: string): boolean {
    if (this.#above.has(name)) return true
    return RECORD_TYPES.some((type) => {
      const found = this.#lookup(name, type, false)
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
