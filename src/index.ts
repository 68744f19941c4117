/**
 * The core: it caches the policies of recipients' domains, plans a delivery, and opens a connection
 * to an MX host that has proved what the policy asks for. The other entries are made of it; a program
 * that sends mail without Nodemailer uses it directly.
 *
 * ```ts
 * import { MtaSts } from 'mta-sts'
 *
 * const sts = new MtaSts()
 * const lookup = await sts.getPolicy('example.com')
 * console.log(lookup.status === 'found' ? lookup.policy.mode : lookup.reason)
 *
 * const connection = await sts.open('example.com', { name: 'mail.sender.example' })
 * console.log(connection.mxHost, connection.proved)
 * await connection.quit()
 * await sts.close()
 * ```
 *
 * - {@link MtaSts} is the class, {@link MtaStsOptions} are its options.
 * - {@link DeliveryContext} and {@link SmtpConnection} are what an attempt of `deliver` works with.
 * - {@link MtaStsError} and {@link SmtpError} have a `code` and `permanent`;
 *   [Errors](../docs/errors.md) says for each code whether to try again.
 * - {@link EventMap} lists the channels of `node:diagnostics_channel` that events are published on.
 * - {@link PolicyStore} is the interface of stores.
 * - {@link parseRecord}, {@link parsePolicy} and {@link matchesMx} read what a domain publishes.
 *
 * Guides: [Your own sender](../docs/own-sender.md),
 * [One delivery, step by step](../docs/control-flow.md), [Operating it](../docs/operating.md).
 *
 * @module mta-sts
 */

export type { Attempt, DeliveryContext } from './delivery/attempt.js'
export type { Candidate } from './delivery/candidate.js'
export { DeliveryRefusedError, RoutingError } from './delivery/errors.js'
export type { DeliveryPlan } from './delivery/plan.js'
export type { DeliverySummary } from './delivery/record.js'
export type { MinimumSecurity, TlsDemand } from './delivery/required-security.js'
export type { Resolver } from './dns/resolver.js'
export type { Field } from './dns/txt-record.js'
export { type ErrorCode, MtaStsError, PolicySyntaxError, RecordSyntaxError } from './errors.js'
export type {
  AppliedPolicy,
  AppliedResult,
  DaneEvent,
  DeliveryEvent,
  EventMap,
  EventName,
  PolicyFailureEvent,
  RefreshEvent,
  SessionEvent,
  StoreFailureEvent,
  TlsReportOutcome,
  TlsReportsEvent,
} from './events.js'
export type { Logger } from './logger.js'
export { type DeliverOptions, MtaSts } from './mta-sts.js'
export type { Connect, ConnectTarget } from './net/connect.js'
export type { MtaStsOptions } from './options.js'
export type { FoundPolicy, NoPolicy, PolicyLookup } from './policy/lookup.js'
export { matchesMx } from './policy/mx-pattern.js'
export { formatPolicy, type Policy, type PolicyMode, parsePolicy } from './policy/policy-file.js'
export { formatRecord, parseRecord, type StsRecord, selectRecord } from './policy/record.js'
export type { RefreshSummary } from './policy/renewal.js'
export type { PolicyStore, StoredPolicy } from './policy/store.js'
export type {
  OpenOptions,
  SendOptions,
  SendResult,
  SmtpConnection,
  SmtpEnvelope,
  SmtpLog,
} from './smtp/connection.js'
export { SmtpError, type SmtpErrorCode } from './smtp/errors.js'
export {
  type FailureReason,
  type ResultType,
  type TlsFailure,
  TlsFailureError,
} from './tls/failures.js'
export { checkServerIdentity } from './tls/identity.js'
export type { Proof, Proved, Security, TlsaRecord } from './tls/security.js'
