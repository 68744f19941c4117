/**
 * A row of the table of advice.
 *
 * @module
 */
import type { ResultType } from '../../../tls/failures.js'

/** The urgency of advice. */
export type Urgency = 'now' | 'soon' | 'later'

/** The values that fill a text; remote text in them is escaped. */
export interface Facts {
  /** The Policy Domain */
  domain: string
  /** The host that the advice is about */
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
  /** The result type of a finding that carries none */
  resultType?: ResultType
  text(facts: Facts): string
}

export const now = (text: Row['text']): Row => ({ urgency: 'now', text })
export const soon = (text: Row['text']): Row => ({ urgency: 'soon', text })
export const later = (text: Row['text']): Row => ({ urgency: 'later', text })
