/**
 * Recipients by the domain that answers for them.
 *
 * @module
 */
import { tryParseDestination } from '../delivery/destination.js'
import { RecipientError } from '../delivery/errors.js'
import { domainOfMailbox } from '../dns/domain-name.js'
import { escapeRemoteText } from '../text.js'

/** The recipients that one delivery is for. */
export interface DomainGroup {
  /** A-labels in lower case, or an address literal */
  domain: string
  recipients: string[]
}

/**
 * Groups an envelope's recipients, in the order of their first appearance.
 *
 * @throws MtaStsError `EENVELOPE` that names the recipient which cannot be delivered to
 */
export function groupByDomain(recipients: readonly string[]): DomainGroup[] {
  if (recipients.length === 0) {
    throw new RecipientError(
      'The message has no recipients: set "to", "cc", "bcc" or "envelope.to"',
    )
  }
  const groups = new Map<string, DomainGroup>()
  for (const recipient of recipients) {
    const domain = deliveryDomain(recipient)
    const group = groups.get(domain)
    if (group) group.recipients.push(recipient)
    else groups.set(domain, { domain, recipients: [recipient] })
  }
  return [...groups.values()]
}

function deliveryDomain(recipient: string): string {
  const domain = domainOfMailbox(recipient)
  const shown = escapeRemoteText(recipient)
  if (domain === undefined) throw new RecipientError(`The recipient "${shown}" has no domain`)
  const destination = tryParseDestination(domain)
  if (destination) return destination.name
  throw new RecipientError(`The domain of the recipient "${shown}" is not a domain name`)
}
