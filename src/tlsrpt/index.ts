/**
 * SMTP TLS Reporting (RFC 8460): sends domains reports about TLS with them, and reads reports of
 * others.
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
