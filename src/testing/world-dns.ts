/**
 * The DNS of a mail world in a test's own hands.
 *
 * @module
 */
import type { WorldDns } from './api.js'
import { plainName } from './names.js'
import type { RecordType, Zone, ZoneRecord } from './zone.js'

export function worldDns(zone: Zone, port: number): WorldDns {
  return {
    port,
    server: `127.0.0.1:${port}`,
    get validating() {
      return zone.dnssec.validating
    },
    set validating(on: boolean) {
      zone.dnssec.validating = on
    },
    set: (name: string, type: RecordType, data: readonly ZoneRecord['data'][]) => {
      // The overloads of WorldDns see to it that data fits type
      const records = data.map((datum) => ({ type, data: datum }) as ZoneRecord)
      zone.set(plainName(name), type, records)
    },
    unset: (name, type) => zone.set(plainName(name), type, undefined),
  }
}
