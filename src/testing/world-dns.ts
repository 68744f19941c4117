/**
 * The DNS of a mail world, as tests change it.
 *
 * @module
 */
import type { RecordOptions, WorldDns } from './api.js'
import type { WorldClock } from './clock.js'
import { checkName, isFlag, wholeFrom } from './named.js'
import { isHostName, plainName } from './names.js'
import { checkBounds, type Register, Standing } from './standing.js'
import type { Zone } from './zone.js'
import { RECORD_TYPES, type RecordType, recordsOf } from './zone-records.js'

export interface WorldDnsSetup {
  zone: Zone
  port: number
  clock: WorldClock
  register: Register
  assertOpen: (what: string) => void
}

/** RFC 2181 §8 */
const MAX_TTL = 2 ** 31 - 1

export function worldDns({ assertOpen, zone, port, clock, register }: WorldDnsSetup): WorldDns {
  // Frozen: a misspelt property is an error
  return Object.freeze({
    port,
    server: `127.0.0.1:${port}`,
    get validating() {
      return zone.dnssec.validating
    },
    set validating(on: boolean) {
      assertOpen('dns.validating')
      isFlag('dns.validating', on)
      zone.dnssec.validating = on
    },
    set: (
      name: string,
      type: RecordType,
      data: readonly unknown[],
      options: RecordOptions = {},
    ) => {
      assertOpen('dns.set()')
      isHostName('dns.set(): the name', name)
      checkBounds('dns.set(): the options', options, { ttl: wholeFrom(0, MAX_TTL) })
      const { ttl, ...bounds } = options
      const records = recordsOf(type, data, ttl)
      const standing = new Standing({ title: `${type} ${name}`, clock, options: bounds })
      if (standing.bounded) register.add('dns', standing)
      else zone.unset(plainName(name), type)
      zone.replace(plainName(name), type, { records, standing })
      return standing
    },
    unset: (name, type) => {
      assertOpen('dns.unset()')
      isHostName('dns.unset(): the name', name)
      checkName('dns.unset(): the type', type, RECORD_TYPES)
      zone.unset(plainName(name), type)
    },
  } satisfies WorldDns)
}
