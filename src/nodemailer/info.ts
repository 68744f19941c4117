/**
 * The result of `sendMail`, or its error: Nodemailer's fields, and the account of each recipient
 * domain.
 *
 * @module
 */
import { parseDestination } from '../delivery/destination.js'
import { errorOfAll } from '../delivery/errors.js'
import { DeliveryRecord, type DeliverySummary } from '../delivery/record.js'
import { copyOfError } from '../errors.js'
import type { SendResult } from '../smtp/connection.js'
import type { DomainGroup } from './recipients.js'
import type { MailError, MailInfo } from './types.js'

/** The delivery to one recipient domain. */
export interface DomainDelivery extends DeliverySummary {
  /** The addresses of this domain, as they stand in the envelope */
  recipients: string[]
  /** Why the message was not delivered */
  error?: Error
}

/** Nodemailer's `info`, and `deliveries`. */
export interface SentInfo extends MailInfo {
  /** Recipients that were accepted */
  accepted: string[]
  /** Recipients that were refused */
  rejected: string[]
  /** One for each rejected recipient, with `recipient`, `code`, `responseCode`, `permanent` */
  rejectedErrors?: MailError[]
  /** The reply to the message, of the first domain that took it */
  response: string
  /** The time for the envelope at that domain, in milliseconds */
  envelopeTime: number
  /** The time for the message at that domain, in milliseconds */
  messageTime: number
  /** Bytes that were sent to that domain */
  messageSize: number
  /** One for each recipient domain, in the order of the recipients */
  deliveries: DomainDelivery[]
}

/** The outcome of one domain's share of a message. */
export interface DomainOutcome {
  delivery: DomainDelivery
  /** undefined: `delivery.error` says why */
  result?: SendResult
}

/** Returns the account of one domain's delivery, with its recipients. */
export function describeDelivery(
  { domain, recipients }: DomainGroup,
  summary: DeliverySummary | undefined,
  error?: Error,
): DomainDelivery {
  const account = summary ?? new DeliveryRecord(parseDestination(domain)).summary()
  const delivery: DomainDelivery = { ...account, recipients }
  if (!error) return delivery
  // Not enumerable: the error has the deliveries, and a logger would follow the circle
  return Object.defineProperty(delivery, 'error', { value: error, enumerable: false })
}

/**
 * Returns one `info` for all domains, as Nodemailer's transports have it.
 *
 * @throws the error of the first domain when no recipient was accepted anywhere; it has
 *   `deliveries`, `rejected` and `rejectedErrors`, and is `permanent` only if all of these are
 */
export function mergeOutcomes(
  outcomes: readonly DomainOutcome[],
  message: Pick<SentInfo, 'envelope' | 'messageId'>,
): SentInfo {
  const accepted = outcomes.flatMap(({ result }) => result?.accepted ?? [])
  const rejectedErrors = outcomes.flatMap(rejections)
  const rejected = rejectedErrors.map(({ recipient }) => recipient)
  const deliveries = outcomes.map(({ delivery }) => delivery)
  const delivered = outcomes.flatMap(({ result }) => result ?? [])[0]
  if (!delivered) {
    const first = deliveries[0]?.error ?? new Error('The message has no recipients')
    const error = errorOfAll(first, rejectedErrors)
    throw Object.assign(error, { rejected, rejectedErrors, deliveries })
  }
  return {
    accepted,
    rejected,
    ...(rejected.length > 0 ? { rejectedErrors } : {}),
    response: delivered.response,
    envelopeTime: delivered.envelopeTime,
    messageTime: delivered.messageTime,
    messageSize: delivered.messageSize,
    ...message,
    deliveries,
  }
}

type RecipientError = Error & { recipient: string }

/** Returns an error for each recipient that was not accepted. */
function rejections({ delivery, result }: DomainOutcome): RecipientError[] {
  const { error } = delivery
  if (result) return (result.rejectedErrors ?? []).map((one) => forRecipient(one, recipientOf(one)))
  // "All recipients were rejected" has the reply to each of them
  const replies = error && 'rejectedErrors' in error ? error.rejectedErrors : undefined
  if (Array.isArray(replies) && replies.length > 0) {
    return replies.map((one) => forRecipient(one, recipientOf(one)))
  }
  return error ? delivery.recipients.map((recipient) => forRecipient(error, recipient)) : []
}

function recipientOf(error: object): string {
  return 'recipient' in error ? String(error.recipient) : ''
}

/** Returns an error of its own, with the recipient that it is about. */
function forRecipient(error: Error, recipient: string): RecipientError {
  return Object.assign(copyOfError(error), { recipient })
}
