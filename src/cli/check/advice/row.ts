/**
 * A row of the table of advice.
 *
 * @module
 */
import type { ResultType } from '../../../tls/failures.js'

/** When a finding is to be dealt with. */
export type Urgency = 'now' | 'soon' | 'later'

/** What the texts are filled with; remote text in it is escaped. */
export interface Facts {
  /** The Policy Domain */
  domain: string
  /** The host that it is about */
  host: string
  /** A value that was found: a status, a name, a pattern, a list of addresses */
  value: string
  /** More in words */
  detail: string
  /** A date */
  until: string
}

export interface Row {
  urgency: Urgency
  /** Where the finding itself carries no type of its own */
  resultType?: ResultType
  text(facts: Facts): string
}

export const now = (text: Row['text']): Row => ({ urgency: 'now', text })
export const soon = (text: Row['text']): Row => ({ urgency: 'soon', text })
export const later = (text: Row['text']): Row => ({ urgency: 'later', text })
