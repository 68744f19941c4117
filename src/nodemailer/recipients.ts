/**
 * Recipients by the domain that answers for them.
 *
 * @module
 */
import { domainOfMailbox, isAddressLiteral, toALabels } from '../dns/domain-name.js'
import { MtaStsError } from '../errors.js'
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
    throw envelopeError('The message has no recipients: set "to", "cc", "bcc" or "envelope.to"')
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
  if (domain === undefined) throw envelopeError(`The recipient "${shown}" has no domain`)
  if (isAddressLiteral(domain)) return domain
  const policyDomain = toALabels(domain)
  if (policyDomain !== undefined) return policyDomain
  throw envelopeError(`The domain of the recipient "${shown}" is not a domain name`)
}

/** Permanent, so that who queues has one thing to look at: no later attempt mends an address. */
function envelopeError(message: string): MtaStsError & { permanent: true } {
  return Object.assign(new MtaStsError(message, 'EENVELOPE'), { permanent: true } as const)
}
