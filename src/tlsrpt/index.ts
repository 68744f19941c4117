/**
 * SMTP TLS Reporting (RFC 8460): sends reports to domains about the sessions with their MX hosts, and
 * reads the reports that a domain gets from others.
 *
 * - {@link TlsReporter} counts the sessions of this process, and sends a report for each day and
 *   domain. Its counts are in a {@link ReportStore}: {@link memoryReportStore},
 *   {@link sqliteReportStore} or {@link redisReportStore}.
 * - {@link readReports} reads reports out of files, mails and mailboxes; {@link assess} says for each
 *   domain whether its policy may go to `enforce`.
 *
 * ```ts
 * import { readFile } from 'node:fs/promises'
 * import { assess, readReports } from 'mta-sts/tlsrpt'
 *
 * const reports = readReports(await readFile('reports.mbox'))
 * for (const { domain, verdict } of assess(reports)) console.log(domain, verdict.answer)
 * ```
 *
 * Guide: [TLS reports](../../docs/reports.md).
 *
 * @module mta-sts/tlsrpt
 */
export { assess } from './assess.js'
export type {
  Answer,
  AssessOptions,
  DayCounts,
  DayCoverage,
  DomainAssessment,
  FailureGroup,
  FailureWeight,
  ModeSeen,
  PolicyAssessment,
  SenderSeen,
  Verdict,
} from './assess-types.js'
export type { CountLimits, DomainCounts, PolicyCounts } from './counts.js'
export type { Day } from './day.js'
export type { DkimKey, DkimKeys, ReportMail, ReportTransporter } from './mail-report.js'
export { type MemoryReportStoreOptions, memoryReportStore } from './memory.js'
export type { TlsReporterOptions } from './options.js'
export {
  type NoteCode,
  type ParseReportOptions,
  parseReport,
  type ReadOptions,
  type Report,
  type ReportNote,
  ReportSyntaxError,
  readReports,
} from './parse.js'
export { parseTlsRptRecord, selectTlsRptRecord, type TlsRptRecord } from './record.js'
export { type RedisReportStoreOptions, redisReportStore } from './redis.js'
export {
  type FailureDescription,
  type FailureDetails,
  formatReport,
  type PolicyDescription,
  type PolicyType,
  type ReportedPolicy,
  type TlsReport,
} from './report.js'
export { TlsReporter } from './reporter.js'
export type { SendSummary } from './sender.js'
export { type SqliteReportStoreOptions, sqliteReportStore } from './sqlite.js'
export type {
  ClaimedReport,
  Portion,
  Progress,
  ReportPlan,
  ReportStore,
  StoredReport,
} from './store.js'
