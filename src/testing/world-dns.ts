/**
 * The DNS of a mail world in a test's own hands.
 *
 * @module
 */
import type { RecordOptions, WorldDns } from './api.js'
import type { WorldClock } from './clock.js'
import { checkKeys, checkName } from './named.js'
import { plainName } from './names.js'
import { checkCount, checkFaultOptions, type Register, Standing } from './standing.js'
import type { Zone } from './zone.js'
import { RECORD_TYPES, type RecordType, recordsOf } from './zone-records.js'

export interface WorldDnsSetup {
  zone: Zone
  port: number
  clock: WorldClock
  register: Register
}

export function worldDns({ zone, port, clock, register }: WorldDnsSetup): WorldDns {
  return {
    port,
    server: `127.0.0.1:${port}`,
    get validating() {
      return zone.dnssec.validating
    },
    set validating(on: boolean) {
      zone.dnssec.validating = on
    },
    set: (
      name: string,
      type: RecordType,
      data: readonly unknown[],
      options: RecordOptions = {},
    ) => {
      checkKeys('dns.set(): the options', options, ['ttl', 'times', 'during'])
      const { ttl, ...bounds } = options
      checkCount('dns.set(): ttl', ttl, 0)
      checkFaultOptions('dns.set()', bounds)
      const records = recordsOf(type, data, ttl)
      const standing = new Standing({ title: `${type} ${name}`, clock, options: bounds })
      if (standing.bounded) register.add('dns', standing)
      else zone.unset(plainName(name), type)
      zone.replace(plainName(name), type, { records, standing })
      return standing
    },
    unset: (name, type) => {
      checkName('dns.unset(): the type', type, RECORD_TYPES)
      zone.unset(plainName(name), type)
    },
  }
}
