/**
 * Somebody's program, as far as its types go: every entry without a peer, and every public name.
 * It is compiled as it is, and with `import x = require(...)` as CommonJS; it is never run.
 */

import * as sts from 'mta-sts'
import * as redis from 'mta-sts/redis'
import * as sqlite from 'mta-sts/sqlite'
import * as testing from 'mta-sts/testing'
import * as tlsrpt from 'mta-sts/tlsrpt'

const record: sts.StsRecord = sts.parseRecord('v=STSv1; id=1;')
const extensions: readonly sts.Field[] | undefined = record.extensions
const policy: sts.Policy = sts.parsePolicy('version: STSv1\nmode: none\nmax_age: 1\n')
export const texts: string[] = [
  sts.formatRecord(sts.selectRecord([['v=STSv1; id=1;']]) ?? record),
  sts.formatPolicy(policy),
  ...(extensions ?? []).map(({ name, value }) => name + value),
]
export const mode: sts.PolicyMode = sts.matchesMx('mx.a.example', policy.mx)
  ? 'enforce'
  : policy.mode

const client: redis.RedisClient = { sendCommand: async () => null }
const node: redis.NodeRedisClient = client
const io: redis.IoRedisClient = { call: async () => null, options: { keyPrefix: 'a:' } }
const redisOptions: redis.RedisStoreOptions = { prefix: 'mail:' }
const sqliteOptions: sqlite.SqliteStoreOptions = { busyTimeout: 1 }
export const stores: sts.PolicyStore[] = [
  redis.redisStore(node, redisOptions),
  redis.redisStore(io),
  sqlite.sqliteStore('policies.db', sqliteOptions),
]

const entry: sts.StoredPolicy = { id: '1', body: '', fetchedAt: 0, expiresAt: 1, usedAt: 0 }
const resolver: sts.Resolver = {
  resolveTxt: async () => [['v=STSv1; id=1;']],
  resolveMx: async () => [{ exchange: 'mx.a.example', priority: 10 }],
  resolve4: async () => ['192.0.2.1'],
  resolve6: async () => [],
}
const logger: sts.Logger = console
const minimum: sts.MinimumSecurity = 'encrypted'

export async function send(connect: sts.Connect, target: sts.ConnectTarget): Promise<string> {
  await stores[0]?.set('a.example', entry)
  const options: sts.MtaStsOptions = {
    resolver,
    logger,
    connect,
    store: stores[0],
    minimumSecurity: minimum,
    overrides: { 'b.example': 'off', 'c.example': policy },
  }
  await using shared = new sts.MtaSts(options)
  await connect(target)
  const lookup: sts.PolicyLookup = await shared.getPolicy('a.example')
  const plan: sts.DeliveryPlan = await shared.plan('a.example')
  const summary: sts.RefreshSummary = await shared.refresh()
  const deliverOptions: sts.DeliverOptions = { demand: 'require' satisfies sts.TlsDemand }
  const attempt: sts.Attempt<number> = async (candidate: sts.Candidate, context) => {
    context satisfies sts.DeliveryContext
    return candidate.addresses.length + whatIsProved(candidate.security)
  }
  const count = await shared.deliver('a.example', attempt, deliverOptions)
  return [describe(lookup), plan.policyDomain, summary.checked + count].join(' ')
}

function describe(lookup: sts.PolicyLookup): string {
  const found: sts.FoundPolicy | undefined = lookup.status === 'found' ? lookup : undefined
  const none: sts.NoPolicy | undefined = lookup.status === 'none' ? lookup : undefined
  return found?.id ?? none?.reason ?? ''
}

function whatIsProved(security: sts.Security): number {
  if (security.level !== 'authenticated') return 0
  const dane = security.proofs.find((proof) => proof.by === 'dane')
  const [first]: readonly sts.TlsaRecord[] = dane?.tlsa ?? []
  return first?.usage ?? 0
}

export function explain(error: unknown): unknown {
  if (error instanceof sts.DeliveryRefusedError) return error.failures
  if (error instanceof sts.RoutingError) return error.permanent
  if (error instanceof sts.PolicySyntaxError) return error.line
  if (error instanceof sts.RecordSyntaxError) return error.code
  if (error instanceof sts.TlsFailureError) return error.failure satisfies sts.TlsFailure
  if (error instanceof tlsrpt.ReportSyntaxError) return error.message
  if (error instanceof sts.MtaStsError) return error.code
  return sts.checkServerIdentity
}

export interface Listeners {
  policy: sts.AppliedPolicy
  result: sts.ResultType
  names: sts.EventName
  events: sts.EventMap
  each:
    | sts.SessionEvent
    | sts.PolicyFailureEvent
    | sts.DeliveryEvent
    | sts.RefreshEvent
    | sts.StoreFailureEvent
}

export function report(transporter: tlsrpt.ReportTransporter, dkim: tlsrpt.DkimKey) {
  const options: tlsrpt.TlsReporterOptions = {
    organizationName: 'Sender',
    contactInfo: 'postmaster@sender.example',
    submitter: 'sender.example',
    store: tlsrpt.memoryReportStore(),
    transporter,
    dkim: { keys: [dkim] } satisfies tlsrpt.DkimKeys,
  }
  return new tlsrpt.TlsReporter(options)
}

export const reportStores: tlsrpt.ReportStore[] = [
  tlsrpt.memoryReportStore({} satisfies tlsrpt.MemoryReportStoreOptions),
  tlsrpt.redisReportStore(client, {} satisfies tlsrpt.RedisReportStoreOptions),
  tlsrpt.sqliteReportStore('reports.db', {} satisfies tlsrpt.SqliteReportStoreOptions),
]

export function readReport(text: string, options: tlsrpt.ParseReportOptions): string {
  const parsed: tlsrpt.TlsReport = tlsrpt.parseReport(text, options)
  const [first]: readonly tlsrpt.ReportedPolicy[] = parsed.policies
  const rua: tlsrpt.TlsRptRecord = tlsrpt.parseTlsRptRecord('v=TLSRPTv1; rua=mailto:a@b.example')
  const selected = tlsrpt.selectTlsRptRecord([]) ?? rua
  return [tlsrpt.formatReport(parsed), first?.policyDomain, ...selected.rua].join()
}

export interface Reports {
  day: tlsrpt.Day
  mail: tlsrpt.ReportMail
  limits: tlsrpt.CountLimits
  domain: tlsrpt.DomainCounts
  policy: tlsrpt.PolicyCounts
  description: tlsrpt.PolicyDescription
  type: tlsrpt.PolicyType
  failure: tlsrpt.FailureDescription
  details: tlsrpt.FailureDetails
  summary: tlsrpt.SendSummary
  claimed: tlsrpt.ClaimedReport
  progress: tlsrpt.Progress
  plan: tlsrpt.ReportPlan
}

export async function test(options: testing.MailWorldOptions): Promise<testing.Outcome[]> {
  await using world: testing.MailWorld = await testing.createMailWorld(options)
  const wanted: testing.DomainOptions = { mode: 'enforce' }
  const bob: testing.MailDomain = world.domain('bob.example', wanted)
  const fault: testing.NamedMxFault = 'expired'
  const mx: testing.MxHost = bob.mx()
  mx.fails(fault)
  const sender: testing.SenderOptions = world.options()
  // What a mail world gives is what MtaSts takes
  await using shared = new sts.MtaSts(sender)
  world.clock.advance({ days: 1 } satisfies testing.Duration)
  await shared.refresh()
  return testing.FAULTS.mx.map(({ outcome }: testing.FaultDescription) => outcome)
}

export interface World {
  dns: testing.DomainDns
  host: testing.Host<testing.MxFault>
  mx: testing.MxOptions
  policyHost: testing.PolicyHost
  policy: testing.PolicyOptions
  smartHost: testing.SmartHostOptions
  worldDns: testing.WorldDns
  target: testing.WorldTarget
  certificate: testing.CertificateSpec
  clock: testing.WorldClock
  faults:
    | testing.CertificateFault
    | testing.DnsFault
    | testing.LookupFault
    | testing.MxFault
    | testing.NamedPolicyHostFault
    | testing.PolicyHostFault
    | testing.ReplyFault
    | testing.ResponseFault
  place: testing.DnsPlace
  dial: testing.Dial
  query: testing.DnsQuery
  line: testing.Line
  log: testing.LogEntry
  connection: testing.MxConnection
  get: testing.PolicyGet
  message: testing.ReceivedMessage
  tls: testing.TlsFacts
}

/** The types that no program above needs. */
export type OfCore = [
  sts.DeliverySummary,
  sts.ErrorCode,
  sts.AppliedResult,
  sts.DaneEvent,
  sts.TlsReportOutcome,
  sts.TlsReportsEvent,
  sts.OpenOptions,
  sts.SendOptions,
  sts.SendResult,
  sts.SmtpConnection,
  sts.SmtpEnvelope,
  sts.SmtpLog,
  sts.SmtpErrorCode,
  sts.FailureReason,
  sts.Proof,
  sts.Proved,
]
export type OfTesting = [
  testing.DnsFaultOptions,
  testing.ExposedWorld,
  testing.RecordOptions,
  testing.ChaosOptions,
  testing.ConformanceCase,
  testing.PolicyStoreUnderTest,
  testing.ReportStoreUnderTest,
  testing.DaneFault,
  testing.DaneFaultDescription,
  testing.DaneOptions,
  testing.TlsaSpec,
  testing.DkimResult,
  testing.ProcessEnvironment,
  testing.BounceOptions,
  testing.GreylistOptions,
  testing.LimitOptions,
  testing.Rate,
  testing.ListeningPort,
  testing.Login,
  testing.Offers,
  testing.Inbox,
  testing.MailFilter,
  testing.MailMatch,
  testing.Waiting,
  testing.WaitOptions,
  testing.LinkOptions,
  testing.AttachmentSnapshot,
  testing.MailAttachment,
  testing.MailSnapshot,
  testing.NodemailerLogin,
  testing.NodemailerOptions,
  testing.Act,
  testing.AddressPattern,
  testing.Rule,
  testing.NextRule,
  testing.Stage,
  testing.FaultHandle,
  testing.FaultOptions,
  testing.TlsSettings,
  testing.RecordType,
  testing.SrvData,
  testing.TlsaData,
]
export type OfReports = [
  tlsrpt.Answer,
  tlsrpt.AssessOptions,
  tlsrpt.DayCounts,
  tlsrpt.DayCoverage,
  tlsrpt.DomainAssessment,
  tlsrpt.FailureGroup,
  tlsrpt.FailureWeight,
  tlsrpt.ModeSeen,
  tlsrpt.PolicyAssessment,
  tlsrpt.SenderSeen,
  tlsrpt.Verdict,
  tlsrpt.NoteCode,
  tlsrpt.ReadOptions,
  tlsrpt.Report,
  tlsrpt.ReportNote,
  tlsrpt.Portion,
  tlsrpt.StoredReport,
]
export type OfRedis = [redis.NodeRedisCluster]

/** The values that no program above needs. */
export const values: unknown[] = [
  sts.SmtpError,
  testing.DANE_FAULTS,
  testing.RECORD_TYPES,
  testing.STAGES,
  testing.policyStoreConformance,
  testing.reportStoreConformance,
  tlsrpt.assess,
  tlsrpt.readReports,
]
