/**
 * The sending side of MTA-STS (RFC 8461).
 *
 * @module mta-sts
 */

export type { Attempt, DeliveryContext } from './delivery/deliver.js'
export { DeliveryRefusedError, RoutingError } from './delivery/errors.js'
export type { Candidate, DeliveryPlan, MinimumSecurity, TlsDemand } from './delivery/plan.js'
export type { DeliverySummary } from './delivery/record.js'
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
export { SmtpError, type SmtpErrorCode } from './smtp/reply.js'
export {
  type FailureReason,
  type ResultType,
  type TlsFailure,
  TlsFailureError,
} from './tls/failures.js'
export { checkServerIdentity } from './tls/identity.js'
export type { Proof, Proved, Security, TlsaRecord } from './tls/security.js'
