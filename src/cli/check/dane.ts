/**
 * `--dane`: the DNSSEC and TLSA lookups that a sender with DANE (RFC 7672) makes for an MX host.
 *
 * @module
 */
import type { Dane, DaneDemand } from '../../dane/dane.js'
import { ask } from '../../dns/resolver.js'
import type { Settings } from '../../options.js'
import { tlsRptName } from '../../policy/names.js'
import type { DaneCheck, TlsRptCheck } from './findings.js'
import { problemOf } from './problem.js'
import { checkTlsRpt } from './records.js'

/** The facts of a host's DNSSEC and TLSA lookups, and what they make a connection prove. */
export interface DaneInspection {
  check: Omit<DaneCheck, 'outcome'>
  demand: DaneDemand
}

const SMTP_PORT = 25

export async function inspectDane(
  dane: Dane,
  { domain, host }: { domain: string; host: string },
  settings: Settings,
): Promise<DaneInspection> {
  const { dnsTimeout, blockedAddresses, now } = settings
  const mx = await dane.mx(domain, dnsTimeout)
  const options = { domain, mx, port: SMTP_PORT, dnsTimeout, blockedAddresses }
  const { demand } = await dane.host(host, options)
  const signed = mx.kind !== 'failed' && mx.secure
  const tlsrpt = demand.kind === 'dane' ? await reportsOn(demand.proof.base, settings) : null
  return { check: { signed, ...recordsOf(demand, now()), tlsrpt }, demand }
}

/** Reports on DANE go to the TLSA base domain (RFC 8460 §1.1), not to the domain of the recipients. */
async function reportsOn(base: string, { resolver, dnsTimeout }: Settings): Promise<TlsRptCheck> {
  return checkTlsRpt(base, await ask(() => resolver.resolveTxt(tlsRptName(base)), dnsTimeout))
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
