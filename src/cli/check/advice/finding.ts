/**
 * What the finders of advice share.
 *
 * @module
 */

import type { ResultType } from '../../../tls/failures.js'
import type { DomainAssessment } from '../../../tlsrpt/assess-types.js'
import { DAY } from '../../time.js'
import type { CertificateFacts, CheckReport } from '../findings.js'
import type { Facts } from './row.js'
import type { AdviceCode } from './table.js'

/** What has been found out about a domain, before anything is concluded from it. */
export type Findings = Omit<CheckReport, 'verdict' | 'held' | 'advice'>

export interface AdviceContext {
  now: number
  /** The store that was given holds another policy file under the id of the record */
  heldDiffers: boolean
  /** What the reports of `--reports` say of the domain */
  assessment: DomainAssessment['verdict'] | undefined
}

/** A row of the table, and what it is about. */
export interface Finding {
  code: AdviceCode
  host?: string
  /** As senders report it */
  fault?: { resultType: ResultType | null; reason: string | null } | null | undefined
  facts?: Partial<Facts>
}

/** A certificate that ends before that should have been renewed by now. */
const RENEWAL = 14 * DAY

export function endsSoon(certificate: CertificateFacts | null, now: number): boolean {
  return certificate !== null && Date.parse(certificate.notAfter) - now < RENEWAL
}
