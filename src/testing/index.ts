/**
 * `mta-sts/testing`: a mail world for tests of programs that send mail.
 *
 * @module mta-sts/testing
 */
export type {
  DnsFaultOptions,
  DomainDns,
  DomainOptions,
  ExposedWorld,
  MailDomain,
  MailWorld,
  MailWorldOptions,
  PolicyOptions,
  RecordOptions,
  SenderOptions,
  WorldDns,
  WorldTarget,
} from './api.js'
export type { CertificateSpec } from './authority.js'
export type { ChaosOptions } from './chaos.js'
export type { Duration, WorldClock } from './clock.js'
export type { ConformanceCase } from './conformance-cases.js'
export { type PolicyStoreUnderTest, policyStoreConformance } from './conformance-policy.js'
export { type ReportStoreUnderTest, reportStoreConformance } from './conformance-report.js'
export { createMailWorld } from './create.js'
export {
  DANE_FAULTS,
  type DaneFault,
  type DaneFaultDescription,
  type DaneOptions,
  type TlsaSpec,
} from './dane.js'
export type { DkimResult } from './dkim.js'
export type { ProcessEnvironment } from './environment.js'
export { FAULTS, type FaultDescription, type Outcome } from './fault-table.js'
export type {
  CertificateFault,
  DnsFault,
  DnsPlace,
  LookupFault,
  MxFault,
  NamedMxFault,
  NamedPolicyHostFault,
  PolicyHostFault,
  ReplyFault,
  ResponseFault,
} from './faults.js'
export type { BounceOptions, GreylistOptions, LimitOptions, Rate } from './habits.js'
export type {
  Host,
  ListeningPort,
  Login,
  MxHost,
  MxOptions,
  Offers,
  PolicyHost,
  SmartHostOptions,
} from './host-api.js'
export type { Inbox, MailFilter, MailMatch, Waiting, WaitOptions } from './inbox.js'
export type { LinkOptions } from './link.js'
export type { Dial, DnsQuery, Line, LogEntry, MxConnection, PolicyGet, TlsFacts } from './log.js'
export type {
  AttachmentSnapshot,
  MailAttachment,
  MailSnapshot,
  ReceivedMessage,
} from './message.js'
export type { NodemailerLogin, NodemailerOptions } from './nodemailer-options.js'
export {
  type Act,
  type AddressPattern,
  type NextRule,
  type Rule,
  STAGES,
  type Stage,
} from './rules.js'
export type { FaultHandle, FaultOptions } from './standing.js'
export type { TlsSettings } from './tls-settings.js'
export { RECORD_TYPES, type RecordType, type SrvData, type TlsaData } from './zone-records.js'
