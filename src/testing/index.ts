/**
 * `mta-sts/testing`: a mail world for tests of programs that send mail.
 *
 * @module mta-sts/testing
 */
export type {
  DomainDns,
  DomainOptions,
  ExposedWorld,
  Host,
  MailDomain,
  MailWorld,
  MailWorldOptions,
  MxHost,
  MxOptions,
  PolicyHost,
  PolicyOptions,
  SenderOptions,
  SmartHostOptions,
  WorldDns,
  WorldTarget,
} from './api.js'
export type { CertificateSpec } from './authority.js'
export type { Duration, WorldClock } from './clock.js'
export type { ConformanceCase } from './conformance-cases.js'
export { type PolicyStoreUnderTest, policyStoreConformance } from './conformance-policy.js'
export { type ReportStoreUnderTest, reportStoreConformance } from './conformance-report.js'
export {
  DANE_FAULTS,
  type DaneFault,
  type DaneFaultDescription,
  type DaneOptions,
  type TlsaSpec,
} from './dane.js'
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
export type {
  Dial,
  DnsQuery,
  Line,
  LogEntry,
  MxConnection,
  PolicyGet,
  ReceivedMessage,
  TlsFacts,
} from './log.js'
export { createMailWorld } from './world.js'
