/**
 * `--dane`: what a sender with DANE (RFC 7672) finds out about an MX host beside its policy.
 *
 * @module
 */
import type { Dane, DaneProof } from '../../dane/dane.js'
import type { Settings } from '../../options.js'
import type { DaneCheck } from './findings.js'
import { problemOf } from './problem.js'

/** The finding, and the proof that a connection has to give. */
export interface DaneInspection {
  check: DaneCheck
  proof: DaneProof | undefined
  /** A sender with DANE must not use the host now (RFC 7672 §2.1) */
  skipped: boolean
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
  const circumstances = { certificate: null, now: now() }
  const checked = (part: Partial<DaneCheck>): DaneCheck => ({
    signed,
    records: 0,
    problem: null,
    ...part,
  })
  switch (demand.kind) {
    case 'dane':
      return {
        check: checked({ records: demand.proof.tlsa.length }),
        proof: demand.proof,
        skipped: false,
      }
    case 'tls-required': {
      const problem = problemOf(demand.failure, circumstances)
      return {
        check: checked({ records: demand.tlsa.length, problem }),
        proof: undefined,
        skipped: false,
      }
    }
    case 'skip': {
      const problem = problemOf(demand.failure, circumstances)
      return { check: checked({ problem }), proof: undefined, skipped: true }
    }
    case 'none':
      return { check: checked({}), proof: undefined, skipped: false }
  }
}
