/** A reporter in a small world whose clock the test sets. */
import { onTestFinished } from 'vitest'
import type { Logger } from '../../src/logger.js'
import { memoryReportStore, TlsReporter, type TlsReporterOptions } from '../../src/tlsrpt/index.js'
import { FakeResolver, FakeTransporter, reporterOptions, TODAY_NOON } from './support.js'

export const MINUTE = 60_000
export const LIMITS = { maxPolicies: 16, maxFailures: 1000 }
export const NOTHING = { sent: 0, postponed: 0, abandoned: 0, unwanted: 0 }

export interface SetUpOptions {
  /** Domains that request reports; default `bob.example` */
  domains?: readonly string[]
  /** Called with the error of closing the reporter after the test; default: the test fails */
  onCloseError?: (error: unknown) => void
}

/** Makes a reporter, which is closed after the test. Use real timers then. */
export function setUp(
  overrides: Partial<TlsReporterOptions> = {},
  { domains = ['bob.example'], onCloseError }: SetUpOptions = {},
) {
  const clock = { time: TODAY_NOON }
  const transporter = new FakeTransporter()
  const resolver = new FakeResolver(
    Object.fromEntries(domains.map((domain) => [domain, `mailto:reports@${domain}`])),
  )
  const store = overrides.store ?? memoryReportStore()
  const logged: string[] = []
  const log = (_: object, message: string, ...args: unknown[]) => {
    logged.push(message.replace(/%[sd]/g, () => String(args.shift())))
  }
  const logger: Logger = { debug: log, info: log, warn: log, error: log }
  const options = reporterOptions({
    transporter,
    resolver,
    logger,
    now: () => clock.time,
    ...overrides,
    store,
  })
  const reporter = new TlsReporter(options)
  onTestFinished(() => (onCloseError ? reporter.close().catch(onCloseError) : reporter.close()))
  const passing = (ms: number) => {
    clock.time += ms
  }
  return { clock, passing, transporter, resolver, store, logged, reporter, options }
}
