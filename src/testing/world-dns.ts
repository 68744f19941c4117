/**
 * The DNS of a mail world in a test's own hands.
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

export function worldDns({ assertOpen, zone, port, clock, register }: WorldDnsSetup): WorldDns {
  return {
    port,
    server: `127.0.0.1:${port}`,
    get validating() {
      return zone.dnssec.validating
    },
    set validating(on: boolean) {
      isFlag('dns.validating', on)
      zone.dnssec.validating = on
    },
    set: (
      name: string,
      type: RecordType,
      data: readonly unknown[],
      options: RecordOptions = {},
    ) => {
      const { ttl, ...bounds } = options
      assertOpen('dns.set()')
      isHostName('dns.set(): the name', name)
      if (ttl !== undefined) wholeFrom(0)('dns.set(): ttl', ttl)
      checkBounds('dns.set(): the options', bounds)
      const records = recordsOf(type, data, ttl)
      const standing = new Standing({ title: `${type} ${name}`, clock, options: bounds })
      if (standing.bounded) register.add('dns', standing)
      else zone.unset(plainName(name), type)
      zone.replace(plainName(name), type, { records, standing })
      return standing
    },
    unset: (name, type) => {
      isHostName('dns.unset(): the name', name)
      checkName('dns.unset(): the type', type, RECORD_TYPES)
      zone.unset(plainName(name), type)
    },
  }
}
