/**
 * What `sendMail` resolves to, or fails with: Nodemailer's own, and beside it what became of each
 * recipient domain.
 *
 * @module
 */
import type { NodemailerError, SentMessageInfo } from 'nodemailer'
import type { DeliveryContext } from '../delivery/deliver.js'
import { DeliveryRefusedError } from '../delivery/errors.js'
import type { TlsFailure } from '../tls/failures.js'
import { withPermanence } from './errors.js'
import type { DomainGroup } from './recipients.js'
import type { SendResult, SessionFacts } from './session.js'

/** What became of one recipient domain. */
export interface DomainDelivery {
  /** A-labels, lower case; or an address literal */
  policyDomain: string
  /** The addresses of this domain, as they stand in the envelope */
  recipients: string[]
  /** `refused`: no host proved what it had to; `failed`: any other error */
  status: 'delivered' | 'refused' | 'failed'
  /** Of the policy; `none` also where there is no policy */
  mode: 'enforce' | 'testing' | 'none'
  /** Of the policy; left out where there is none */
  policyId?: string
  /** The MX host that took the message, or the last that was tried */
  mxHost?: string
  /** The address that was connected to, as text */
  address?: string
  /** false: plaintext, or no connection at all; undefined: a smart host's transport does not tell */
  tls?: false | { version: string; cipher: string }
  /** What the host had proved before MAIL FROM */
  proved: 'nothing' | 'sts' | 'dane'
  /** What went wrong on the way, in order; also what was let pass */
  failures: readonly TlsFailure[]
  /** Why the message was not delivered */
  error?: Error
}

/** Nodemailer's `info`, and `deliveries`. */
export interface SentInfo extends SentMessageInfo {
  accepted: string[]
  rejected: string[]
  /** One for each rejected recipient, with `recipient`, `code`, `responseCode`, `permanent` */
  rejectedErrors?: NodemailerError[]
  /** The reply to the message, of the first domain that took it */
  response: string
  /** Of that domain, for the envelope; milliseconds */
  envelopeTime: number
  /** Of that domain, for the message; milliseconds */
  messageTime: number
  /** Bytes that were sent to that domain */
  messageSize: number
  /** One for each recipient domain, in the order of the recipients */
  deliveries: DomainDelivery[]
}

/** How one domain's share of a message ended. */
export interface DomainOutcome {
  delivery: DomainDelivery
  /** undefined: `delivery.error` says why */
  result?: SendResult
}

/** Describes how a delivery ended, from what was known of it at the end. */
export function describeDelivery(
  { domain, recipients }: DomainGroup,
  end: {
    context?: DeliveryContext | undefined
    facts?: Partial<SessionFacts> | undefined
    error?: Error | undefined
  },
): DomainDelivery {
  const { context, facts, error } = end
  const refusal = error instanceof DeliveryRefusedError ? error : undefined
  const lookup = context?.plan.lookup
  const found = lookup?.status === 'found' ? lookup : undefined
  const policyId = found?.id ?? refusal?.policyId
  const delivery: DomainDelivery = {
    policyDomain: domain,
    recipients,
    status: error ? (refusal ? 'refused' : 'failed') : 'delivered',
    mode: found?.policy.mode ?? refusal?.mode ?? 'none',
    ...(policyId === undefined ? {} : { policyId }),
    tls: false,
    proved: 'nothing',
    ...facts,
    failures: refusal?.failures ?? [...(context?.failures ?? [])],
  }
  if (!error) return delivery
  // Not to be enumerated: it has the deliveries on it, and a logger would go round in circles
  return Object.defineProperty(delivery, 'error', { value: error, enumerable: false })
}

/**
 * One `info` for all domains, as Nodemailer's transports have it.
 *
 * @throws the error of the first domain when no recipient was accepted anywhere; `deliveries`,
 *   `rejected` and `rejectedErrors` are on it, and it is `permanent` only if every one of them is
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
    // Who looks at nothing else must not bounce to recipients who were only refused for now
    const undecided = isPermanent(first) && !rejectedErrors.every(isPermanent)
    const error = undecided ? Object.assign(copyOf(first), { permanent: false }) : first
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

function isPermanent(error: Error): boolean {
  return 'permanent' in error && error.permanent === true
}

type RecipientError = Error & { recipient: string }

/** An error for each recipient that was not accepted. */
function rejections({ delivery, result }: DomainOutcome): RecipientError[] {
  const { error } = delivery
  if (result) return (result.rejectedErrors ?? []).map((one) => forRecipient(one, recipientOf(one)))
  // Nodemailer's "all recipients were rejected" brings the replies to each of them
  const replies = error && 'rejectedErrors' in error ? error.rejectedErrors : undefined
  if (Array.isArray(replies) && replies.length > 0) {
    return replies.map((one) => forRecipient(one, recipientOf(one)))
  }
  return error ? delivery.recipients.map((recipient) => forRecipient(error, recipient)) : []
}

function recipientOf(error: object): string {
  return 'recipient' in error ? String(error.recipient) : ''
}

/** An error of its own, with the recipient that it is about. */
function forRecipient(error: Error, recipient: string): RecipientError {
  return Object.assign(withPermanence(copyOf(error)), { recipient })
}

/** Class, code, message and all. */
function copyOf(error: Error): Error {
  return Object.create(Object.getPrototypeOf(error), Object.getOwnPropertyDescriptors(error))
}
