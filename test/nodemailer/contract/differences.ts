/**
 * The one list of what may differ between the plain transport and ours. What the plain transport did is
 * rewritten by it before the two are compared, so that a difference which is not listed fails.
 *
 * @module
 */
import { expect } from 'vitest'
import type { Mode, Transport } from './smart-host.js'

/** 8, 9 or 10: the line of Nodemailer that the tests run with. */
export const LINE = Number(process.env.NODEMAILER ?? 10)

/** Whether this line ends a message with its `signal`. */
export const ABORTS = LINE >= 10

/** An `info` or an error as it is compared: without times, stacks and chains. */
export type Comparable = Record<string, unknown>

interface Difference {
  /** What differs, in one sentence; docs/smart-host.md says the same */
  what: string
  /** Whether it is about this outcome of the plain transport */
  concerns(plain: Comparable, kind: { transport: Transport; mode: Mode }): boolean
  /** Returns what ours has in its place */
  ours(plain: Comparable): Comparable
}

const replied = ({ responseCode }: Comparable) => typeof responseCode === 'number'
/** A message is refused for good only if each of its recipients is, as with Nodemailer 10. */
function isRefused({ responseCode, rejectedErrors }: Comparable): boolean {
  const recipients = Array.isArray(rejectedErrors) ? rejectedErrors : []
  return Number(responseCode) >= 500 && recipients.every(isRefused)
}

/** The recipient that is deferred, of a message that nobody was accepted for. */
function deferred({ message, rejectedErrors }: Comparable): Comparable | undefined {
  const recipients: Comparable[] = Array.isArray(rejectedErrors) ? rejectedErrors : []
  if (message === undefined) return undefined
  return recipients.find(({ responseCode }) => Number(responseCode) < 500)
}

const isBeforeLogin = ({ command, message }: Comparable) =>
  typeof message === 'string' && /^(?:CONN|EHLO|HELO)$/.test(String(command))
const isBeforeMail = ({ command }: Comparable) =>
  typeof command === 'string' && /^(?:CONN|EHLO|HELO|STARTTLS|AUTH\b)/.test(command)

/**
 * Beside what is in the list:
 * - `deliveries` is new, and a host that did not prove what it must gets nothing: `DeliveryRefusedError`
 * - EHLO is said once more where the connection is opened here
 * - a message is read once DATA was accepted, so that it can be sent again after it was turned away from
 *   a connection; Nodemailer 8 and 9 begin to read it before MAIL FROM
 * - a single transport that was closed answers ECLOSED, unless its MtaSts is shared; a pool that was
 *   closed answers ECONNECTION also on Nodemailer 8 and 9, which never call back
 * - before Nodemailer 10 a signal that is aborted ends nothing there; here it ends a message that waits
 *   for its policy
 */
export const DIFFERENCES: readonly Difference[] = [
  {
    what: 'before Nodemailer 10 there is no `permanent`; here it is set with every version',
    concerns: (plain) => LINE < 10 && replied(plain),
    ours: (plain) => ({ ...plain, permanent: isRefused(plain) }),
  },
  {
    what: 'a reply before MAIL FROM is never final: somebody in between may have sent it, or a password is being changed',
    concerns: (plain) => replied(plain) && isBeforeMail(plain),
    ours: (plain) => ({ ...plain, permanent: false }),
  },
  {
    what: 'where the connection is opened here, the text of an error that it ends with is ours',
    concerns: (plain, { mode }) => mode === 'enforce' && isBeforeLogin(plain),
    ours: ({ code, command, responseCode, response }) =>
      expect.objectContaining({
        code,
        command,
        ...(responseCode === undefined ? {} : { responseCode, response, permanent: false }),
      }),
  },
  {
    what: 'a message of which one recipient is deferred has the reply to that one, as with Nodemailer 10',
    concerns: (plain, { transport }) =>
      LINE < 10 && transport === 'direct' && deferred(plain) !== undefined,
    ours: (plain) => ({
      ...plain,
      responseCode: deferred(plain)?.responseCode,
      response: deferred(plain)?.response,
    }),
  },
  {
    what: 'an envelope that no host could be sent is final, as with mtaStsTransport',
    concerns: ({ command, code }) => command === 'API' && code === 'EENVELOPE',
    ours: (plain) => ({ ...plain, permanent: true }),
  },
]

/**
 * `mtaStsTransport` speaks SMTP itself, with an account for each recipient domain. Its outcome has these
 * fields in common with the plain transport's: not the texts, nor the EHLO replies of one host among
 * several, nor a size that counts the final dot.
 */
const IN_COMMON = [
  'accepted',
  'rejected',
  'response',
  'envelope',
  'messageId',
  'code',
  'responseCode',
]

/** Returns the part of an outcome that `mtaStsTransport` has in common with the plain transport. */
export function inCommon(outcome: unknown): unknown {
  if (Array.isArray(outcome)) return outcome.map(inCommon)
  if (typeof outcome !== 'object' || outcome === null) return outcome
  const entries = Object.entries(outcome)
  // An error has more there: `rejected` of a message that failed as a whole
  const isError = 'message' in outcome
  const kept = entries.filter(
    ([key]) => IN_COMMON.includes(key) && !(isError && key === 'rejected'),
  )
  return Object.fromEntries(kept.map(([key, value]) => [key, inCommon(value)]))
}

/** Returns what ours must have where the plain transport had this. */
export function expectedOf(plain: unknown, kind: { transport: Transport; mode: Mode }): unknown {
  if (Array.isArray(plain)) return plain.map((one) => expectedOf(one, kind))
  if (typeof plain !== 'object' || plain === null) return plain
  const entries = Object.entries(plain).map(([key, value]) => [key, expectedOf(value, kind)])
  let expected: Comparable = Object.fromEntries(entries)
  for (const { concerns, ours } of DIFFERENCES) {
    if (concerns(expected, kind)) expected = ours(expected)
  }
  return expected
}
