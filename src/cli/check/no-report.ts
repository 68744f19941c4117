/**
 * The report on a domain of which nothing was found out.
 *
 * @module
 */
import { EXIT } from '../context.js'
import type { CheckReport } from './findings.js'

/** @param text why, as the text of the verdict */
export function noReport(domain: string, text: string): CheckReport {
  return {
    domain,
    unicodeDomain: null,
    record: {
      name: '',
      status: 'unknown',
      texts: [],
      id: null,
      problem: null,
      resultType: null,
      reason: null,
    },
    policyHost: null,
    policy: null,
    mx: { status: 'unknown', problem: null, hosts: [] },
    tlsrpt: { name: '', status: 'unknown', texts: [], rua: [], problem: null },
    verdict: { status: 'unknown', exitStatus: EXIT.unknown, mode: null, text },
    cached: null,
    advice: [],
  }
}
