/**
 * The text of an error in a mail queue.
 *
 * @module
 */
import type { DeliverySummary } from '../delivery/record.js'
import { escapeRemoteText } from '../text.js'

/** Returns the message of an error, after the name of the last host unless it is mentioned. */
export function errorText({ message }: Error, summary: DeliverySummary | undefined): string {
  const { mxHost, address } = summary ?? {}
  if (mxHost === undefined || message.includes(mxHost)) return message
  const at = address === undefined || address === mxHost ? '' : `[${address}]`
  return `${escapeRemoteText(mxHost)}${at}: ${message}`
}
