/**
 * The types and helpers of all finders of advice.
 *
 * @module
 */

import type { ResultType } from '../../../tls/failures.js'
import type { DomainAssessment } from '../../../tlsrpt/assess-types.js'
import { DAY } from '../../time.js'
import type { CertificateFacts, CheckReport } from '../findings.js'
import type { Facts } from './row.js'
import type { AdviceCode } from './table.js'

/** The facts about a domain, without verdict and advice. */
export type Findings = Omit<CheckReport, 'verdict' | 'cached' | 'advice'>

export interface AdviceContext {
  now: number
  /** The store that was given has another policy file under the id of the record */
  cachedDiffers: boolean
  /** The assessment of the domain by the reports of `--reports` */
  assessment: DomainAssessment['verdict'] | undefined
}

/** A row of the table, with the facts that fill its text. */
export interface Finding {
  code: AdviceCode
  host?: string
  /** The failure that senders report */
  fault?: { resultType: ResultType | null; reason: string | null } | null | undefined
  facts?: Partial<Facts>
}

/** A certificate that ends before that should have been renewed by now. */
const RENEWAL = 14 * DAY

export function endsSoon(certificate: CertificateFacts | null, now: number): boolean {
  return certificate !== null && Date.parse(certificate.notAfter) - now < RENEWAL
}
