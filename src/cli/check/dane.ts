/**
 * `--dane`: the DNSSEC and TLSA lookups that a sender with DANE (RFC 7672) makes for an MX host.
 *
 * @module
 */
import type { Dane, DaneDemand } from '../../dane/dane.js'
import type { Settings } from '../../options.js'
import type { DaneCheck } from './findings.js'
import { problemOf } from './problem.js'

/** The facts of a host's DNSSEC and TLSA lookups, and what they make a connection prove. */
export interface DaneInspection {
  check: Omit<DaneCheck, 'outcome'>
  demand: DaneDemand
}

const SMTP_PORT = 25

export async function inspectDane(
  dane: Dane,
  { domain, host }: { domain: string; host: string },
  { dnsTimeout, blockedAddresses, now }: Settings,
): Promise<DaneInspection> {
  const mx = await dane.mx(domain, dnsTimeout)
  const options = { domain, mx, port: SMTP_PORT, dnsTimeout, blockedAddresses }
  const { demand } = await dane.host(host, options)
  const signed = mx.kind !== 'failed' && mx.secure
  return { check: { signed, ...recordsOf(demand, now()) }, demand }
}

function recordsOf(demand: DaneDemand, now: number): Pick<DaneCheck, 'records' | 'problem'> {
  const circumstances = { certificate: null, now }
  switch (demand.kind) {
    case 'dane':
      return { records: demand.proof.tlsa.length, problem: null }
    case 'tls-required':
      return { records: demand.tlsa.length, problem: problemOf(demand.failure, circumstances) }
    case 'skip':
      return { records: 0, problem: problemOf(demand.failure, circumstances) }
    case 'none':
      return { records: 0, problem: null }
  }
}
