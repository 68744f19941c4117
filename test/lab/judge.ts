/**
 * Judges the outcome of a message from both ends: the sender's report, and the mailboxes and logs
 * of the receiving servers.
 *
 * @module
 */
import type { Delivered } from './mailboxes.js'
import type { MxSession } from './mx-log.js'
import { labelOf, type PlacedDomain, type PlacedHost } from './placement.js'
import type { SendReply } from './sender.js'
import { describeOutcome, type Outcome } from './vocabulary.js'

/** One message of a case, with all known facts. */
export interface Sent {
  messageId: string
  expected: Outcome
  reply: SendReply
}

/** Converts the sender's report to the words of the table. */
export function outcomeOf({ deliveries, error }: SendReply, domain: PlacedDomain): Outcome {
  const [delivery] = deliveries
  if (!delivery) return failed(error)
  const failures = delivery.failures.map(({ resultType, reason, mxHost = '' }) => {
    const label = labelOf(mxHost, domain)
    return `${label}: ${resultType}${reason === undefined ? '' : ` (${reason})`}`
  })
  if (delivery.status === 'refused') {
    // Anything else would not be a refusal in the sense of the table
    const sound = delivery.mode === 'enforce' && error?.permanent === false
    return sound ? { status: 'refused', failures } : failed({ ...error, code: 'unsound refusal' })
  }
  if (delivery.status === 'failed') return failed(error)
  const { mode, tls, proved, mxHost = '' } = delivery
  const over = proved === 'sts' ? 'proved TLS' : tls ? 'TLS' : 'plaintext'
  return { status: 'delivered', mode, by: labelOf(mxHost, domain), over, failures }
}

function failed(error: Partial<NonNullable<SendReply['error']>> | undefined): Outcome {
  const { code = 'no code', permanent = false, responseCode } = error ?? {}
  return { status: 'failed', code: String(responseCode ?? code), permanent }
}

/** Returns the faults of one message for its sender and its recipient. */
export function judgeMessage(
  { messageId, expected, reply }: Sent,
  domain: PlacedDomain,
  mailbox: readonly Delivered[],
): string[] {
  const wrong: string[] = []
  const got = describeOutcome(outcomeOf(reply, domain))
  const wanted = describeOutcome(expected)
  if (got !== wanted) wrong.push(`expected ${wanted}; got ${got} ${reply.error?.text ?? ''}`.trim())
  const arrived = mailbox.filter((one) => one.messageId === messageId)
  const due = expected.status === 'delivered' ? 1 : 0
  if (arrived.length !== due) wrong.push(`${arrived.length} in the mailbox, and not ${due}`)
  if (expected.status !== 'delivered') return wrong
  const host = domain.hosts.find(({ label }) => label === expected.by)
  for (const { by, over } of arrived) {
    if (by !== host?.name) wrong.push(`it was received by ${by}`)
    if ((over === 'TLS') !== (expected.over !== 'plaintext')) wrong.push(`it came over ${over}`)
  }
  return wrong
}

/**
 * The same id is fetched once, successfully or not (RFC 8461 §3.3); once more before a delivery is
 * refused because a cached policy does not name the MX host.
 */
export function judgeRequests({ spec, policyHost }: PlacedDomain, requests: number): string[] {
  const expires = spec.policy?.maxAge !== undefined
  const ids = typeof spec.between?.txt === 'string' ? 2 : 1
  const { expected } = spec
  const isOutside =
    expected.status === 'refused' &&
    expected.failures.every((failure) => /mx-mismatch/.test(failure))
  const allowed = ids + (isOutside ? 1 : 0)
  return requests > allowed && !expires ? [`${policyHost} was asked ${requests} times`] : []
}

/** Returns the faults of the sessions of a domain's MX hosts, by their own logs. */
export function judgeSessions(
  domain: PlacedDomain,
  sent: readonly Sent[],
  sessions: readonly MxSession[],
): string[] {
  return domain.hosts.flatMap((host) => {
    const own = sessions.filter((session) => session.host === host.name)
    const due = sent.filter(({ expected }) => isBy(expected, host))
    return judgeHost(host, due, own).map((what) => `${host.name} ${what}`)
  })
}

function judgeHost(host: PlacedHost, due: readonly Sent[], sessions: MxSession[]): string[] {
  const wrong: string[] = []
  const taken = sessions.reduce((sum, { messages }) => sum + messages, 0)
  if (taken !== due.length) wrong.push(`took ${taken} messages, and not ${due.length}`)
  // A host that must reply 4xx or 5xx to RCPT does see the sender's address
  if (due.length === 0 && host.reply === undefined && sessions.some(({ mail }) => mail)) {
    wrong.push('saw a MAIL FROM')
  }
  const plaintext = due.some(({ expected }) => isInPlaintext(expected))
  for (const { messages, tls, sni } of sessions) {
    if (messages > 0 && plaintext !== (tls === undefined)) wrong.push(`took mail over ${tls}`)
    if (messages > 0 && tls && !/^TLSv?1\.[23]/.test(tls)) wrong.push(`took mail over ${tls}`)
    if (tls && host.server === 'exim' && sni !== host.name) wrong.push(`was sent the SNI ${sni}`)
  }
  return wrong
}

const isBy = (expected: Outcome, { label }: PlacedHost) =>
  expected.status === 'delivered' && expected.by === label

const isInPlaintext = (expected: Outcome) =>
  expected.status === 'delivered' && expected.over === 'plaintext'
