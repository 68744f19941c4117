/**
 * A mail world on loopback for tests of programs that send mail: domains with DNS, policy hosts and
 * MX hosts, over real sockets and real TLS. {@link createMailWorld} makes one, in milliseconds.
 *
 * ```ts
 * import nodemailer from 'nodemailer'
 * import { createMailWorld } from 'mta-sts/testing'
 *
 * const world = await createMailWorld()
 * const bob = world.domain('bob.example')
 * const transporter = nodemailer.createTransport(world.nodemailer())
 * await transporter.sendMail({ from: 'me@shop.example', to: 'b@bob.example', subject: 'Welcome' })
 * const mail = await bob.inbox.next()
 * console.log(mail.subject)
 * await world.close()
 * ```
 *
 * - {@link MailWorld} and {@link MailDomain} are the interfaces of tests, {@link Inbox} has messages.
 * - {@link FAULTS} lists faults by name: `bob.mx().fails('expired')`.
 * - {@link policyStoreConformance} and {@link reportStoreConformance} test stores of your own.
 *
 * It needs the packages `smtp-server` and `dns-packet`, and `postal-mime` to read messages.
 *
 * Guide: [Testing a program that sends mail](../../docs/testing.md).
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
export type { DaneOptions, TlsaSpec } from './dane.js'
export { DANE_FAULTS, type DaneFault, type DaneFaultDescription } from './dane-faults.js'
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
