/**
 * The text of an error as a queue shows it to people.
 *
 * @module
 */
import type { DeliverySummary } from '../delivery/record.js'
import { escapeRemoteText } from '../text.js'

/** Returns the message of an error; the host that was tried last stands before it where it names none. */
export function errorText({ message }: Error, summary: DeliverySummary | undefined): string {
  const { mxHost, address } = summary ?? {}
  if (mxHost === undefined || message.includes(mxHost)) return message
  const at = address === undefined || address === mxHost ? '' : `[${address}]`
  return `${escapeRemoteText(mxHost)}${at}: ${message}`
}
