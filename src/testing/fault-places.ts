/**
 * The place of each fault in a connection.
 *
 * @module
 */
import type { Place } from './fault-stack.js'
import type { MxFault, NamedMxFault, NamedPolicyHostFault, PolicyHostFault } from './faults.js'
import { STAGES } from './rules.js'

const CONNECT = 0
/** Between the reply to STARTTLS and the next command */
const VERSION = STAGES.indexOf('starttls') + 0.1
const CERTIFICATE = VERSION + 0.1

const place = (slot: string, stage: number, ends = true): Place => ({ slot, stage, ends })
const starttls = place('starttls', STAGES.indexOf('starttls'))
const behindStartTls = { ...starttls, ends: false }
const certificate = place('certificate', CERTIFICATE)

const MX: Record<NamedMxFault, Place> = {
  'no-starttls': starttls,
  'starttls-454': starttls,
  'starttls-502': starttls,
  'handshake-reset': starttls,
  'handshake-stall': starttls,
  'handshake-plaintext': starttls,
  'response-injection': behindStartTls,
  'response-fragment': behindStartTls,
  'tls-1.1': place('version', VERSION),
  'client-certificate': place('client-certificate', VERSION),
  'wrong-name': certificate,
  'cn-only': certificate,
  'partial-wildcard': certificate,
  'self-signed': certificate,
  'unknown-authority': certificate,
  'missing-intermediate': certificate,
  expired: certificate,
  'not-yet-valid': certificate,
  unreachable: place('connect', CONNECT),
  slow: place('pace', CONNECT, false),
  'drops-after-data': place('message', STAGES.indexOf('message')),
}

/** A reply to one recipient, sender or user only leaves the rest of the session as it is. */
export function placeOfMxFault(fault: MxFault): Place {
  if (typeof fault === 'string') return MX[fault]
  const { at, to, from, user, probability, delay, reply, act } = fault
  const whom = [to, from, user].filter((one) => one !== undefined).map(String)
  const waits = (reply ?? act) === undefined
  const ends = whom.length === 0 && probability === undefined && !waits
  const slot = [at, ...whom, ...(waits ? [String(delay)] : [])].join()
  return { slot, stage: STAGES.indexOf(at), ends }
}

const response = place('response', 3)

const POLICY_HOST: Record<NamedPolicyHostFault, Place> = {
  down: place('connect', CONNECT),
  reset: place('connect', CONNECT),
  'wrong-name': certificate,
  'cn-only': certificate,
  expired: certificate,
  'self-signed': certificate,
  '404': response,
  '500': response,
  redirect: response,
  html: response,
  oversize: response,
  drip: response,
  gzip: response,
  'invalid-policy': response,
}

export function placeOfPolicyHostFault(fault: PolicyHostFault): Place {
  return typeof fault === 'string' ? POLICY_HOST[fault] : response
}

/** The names of all faults, for checks at run time. */
export const MX_FAULTS = Object.keys(MX)
export const POLICY_HOST_FAULTS = Object.keys(POLICY_HOST)
