/**
 * The options of {@link TlsReporter}: their defaults and checks.
 *
 * @module
 */
import { toALabels } from '../dns/domain-name.js'
import { checkKnown, namesOf, number, optionError } from '../option-checks.js'
import {
  OPTION_NAMES as CORE_OPTION_NAMES,
  guarded,
  type MtaStsOptions,
  resolveOptions,
  type Settings,
  SHARED_NAME,
} from '../options.js'
import type { CollectorOptions } from './collector.js'
import { plainMailbox } from './destination.js'
import {
  checkDkim,
  type DkimKeys,
  type MailSettings,
  type ReportTransporter,
} from './mail-report.js'
import type { PostOptions } from './post-report.js'
import type { ReportStore } from './store.js'

/** Durations are in milliseconds. */
export interface TlsReporterOptions
  extends Pick<
    MtaStsOptions,
    'resolver' | 'dnsTimeout' | 'connect' | 'blockedAddresses' | 'ca' | 'logger' | 'now'
  > {
  /** The reporting organization, for people to read */
  organizationName: string
  /** The mail address of a contact for reports */
  contactInfo: string
  /** The sending domain: `TLS-Report-Submitter`, and the first part of file names */
  submitter: string
  /** Stores counts and reports; `memoryReportStore()` loses them with the process */
  store: ReportStore
  /** Sends reports by mail. `mtaStsTransport` honours `TLS-Required: No` */
  transporter: ReportTransporter
  /** Signs reports (RFC 8460 §3): the key of the `from` domain, in Nodemailer's form */
  dkim: DkimKeys
  /** The sender's mailbox of reports, which also gets bounces; default `tlsrpt@` + submitter */
  from?: string | undefined
  /** Reports every day, or only days with failures. Default `all` */
  days?: 'all' | 'with-failures' | undefined
  /** `manual`: only `sendReports()` sends reports. Default `automatic` */
  sending?: 'automatic' | 'manual' | undefined
  /** Period after a day over which its reports are spread; default 14400000, 4 hours */
  spread?: number | undefined
  /** Interval at which counts are written to the store; default 5000 */
  flushInterval?: number | undefined
  /** Limit of a whole POST; default 60000 */
  postTimeout?: number | undefined
  /** Maximum number of domains between two writes; default 100000 */
  maxDomains?: number | undefined
  /** Maximum number of distinct failures of one policy in a report; default 1000 */
  maxFailures?: number | undefined
  /** Jitter, from 0 up to 1; default `Math.random` */
  random?: (() => number) | undefined
}

/** The options with their defaults, checked. */
export interface ReporterSettings {
  store: ReportStore
  days: 'all' | 'with-failures'
  sending: 'automatic' | 'manual'
  spread: number
  flushInterval: number
  collector: CollectorOptions
  mail: MailSettings
  post: PostOptions
  random: () => number
  now: () => number
  logger: Settings['logger']
}

/** Maximum number of policies of one domain and day in a report: policies change seldom. */
const MAX_POLICIES = 16

const OPTION_NAMES = [
  ...namesOf<keyof TlsReporterOptions>({
    resolver: true,
    dnsTimeout: true,
    connect: true,
    blockedAddresses: true,
    ca: true,
    logger: true,
    now: true,
    organizationName: true,
    contactInfo: true,
    submitter: true,
    store: true,
    transporter: true,
    dkim: true,
    from: true,
    days: true,
    sending: true,
    spread: true,
    flushInterval: true,
    postTimeout: true,
    maxDomains: true,
    maxFailures: true,
    random: true,
  }),
  SHARED_NAME,
]

/** Options of the transport whose sessions are reported: one object may serve both. */
const POOL_OPTION_NAMES = ['maxConnections', 'maxConnectionsPerHost', 'maxMessages', 'idleTimeout']

const STORE_METHODS = ['add', 'seal', 'claim', 'save', 'remove'] as const

/** @throws TypeError that names the option */
export function resolveReporterOptions(options: TlsReporterOptions): ReporterSettings {
  const known = [...OPTION_NAMES, ...CORE_OPTION_NAMES, ...POOL_OPTION_NAMES]
  checkKnown(options, known, { call: 'new TlsReporter()' })
  const { resolver, dnsTimeout, connect, blockedAddresses, ca, logger, now } = options
  const core = guarded(
    resolveOptions({
      resolver,
      dnsTimeout,
      connect,
      blockedAddresses,
      ca,
      logger,
      now,
    }),
  )
  return {
    store: withMethods(options, 'store', STORE_METHODS),
    days: oneOf(options, 'days', ['all', 'with-failures']),
    sending: oneOf(options, 'sending', ['automatic', 'manual']),
    spread: number(options, 'spread', { default: 4 * 3_600_000, min: 0, max: 20 * 3_600_000 }),
    flushInterval: number(options, 'flushInterval', { default: 5000, min: 1, max: 60_000 }),
    collector: {
      now: core.now,
      maxDomains: number(options, 'maxDomains', { default: 100_000, min: 1 }),
      maxPolicies: MAX_POLICIES,
      maxFailures: number(options, 'maxFailures', { default: 1000, min: 1, max: 10_000 }),
    },
    mail: mailSettings(options, core),
    post: {
      ...core,
      postTimeout: number(options, 'postTimeout', { default: 60_000, min: 1, max: 300_000 }),
    },
    random: random(options.random),
    now: core.now,
    logger: core.logger,
  }
}

function mailSettings(options: TlsReporterOptions, { now }: Settings): MailSettings {
  const submitter = toALabels(text(options, 'submitter'))
  if (submitter === undefined) {
    throw optionError('submitter', 'must be a domain name', options.submitter)
  }
  const from = mailbox('from', options.from ?? `tlsrpt@${submitter}`)
  return {
    organizationName: text(options, 'organizationName'),
    contactInfo: mailbox('contactInfo', text(options, 'contactInfo')),
    submitter,
    from,
    transporter: withMethods(options, 'transporter', ['sendMail']),
    dkim: checkDkim(options.dkim, from),
    now,
  }
}

function text(
  options: TlsReporterOptions,
  field: 'organizationName' | 'contactInfo' | 'submitter',
): string {
  const value: unknown = options[field]
  if (typeof value === 'string' && value.trim() !== '') return value
  throw optionError(field, 'must be text that is not empty', value)
}

function mailbox(field: string, value: string): string {
  const plain = typeof value === 'string' ? plainMailbox(value) : undefined
  if (plain !== undefined) return plain
  throw optionError(field, 'must be a mail address, without a display name', value)
}

function oneOf<K extends 'days' | 'sending'>(
  options: TlsReporterOptions,
  field: K,
  [usual, other]: readonly [NonNullable<TlsReporterOptions[K]>, NonNullable<TlsReporterOptions[K]>],
): NonNullable<TlsReporterOptions[K]> {
  const value: unknown = options[field]
  if (value === undefined || value === usual) return usual
  if (value === other) return other
  throw optionError(field, `must be '${usual}' or '${other}'`, value)
}

function withMethods<K extends 'store' | 'transporter'>(
  options: TlsReporterOptions,
  field: K,
  methods: readonly string[],
): TlsReporterOptions[K] {
  const value = options[field]
  const has = (method: string) => typeof Reflect.get(Object(value), method) === 'function'
  if (typeof value === 'object' && value !== null && methods.every(has)) return value
  throw optionError(field, `must be an object with the methods ${methods.join(', ')}`, value)
}

function random(value: unknown): () => number {
  if (value === undefined) return Math.random
  if (typeof value === 'function') return value as () => number
  throw optionError('random', 'must be a function', value)
}
