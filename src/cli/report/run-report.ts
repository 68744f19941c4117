/**
 * Reads reports, and prints what was asked for.
 *
 * @module
 */
import { writeFile } from 'node:fs/promises'
import { escapeRemoteText } from '../../text.js'
import type { DomainAssessment } from '../../tlsrpt/assess-types.js'
import { counted } from '../../tlsrpt/assess-verdict.js'
import { type CliContext, EXIT, type ExitStatus } from '../context.js'
import { toJson } from '../layout.js'
import { progressOn, type Screen, screenOf } from '../terminal.js'
import { Collection } from './collect.js'
import { csvLines } from './csv.js'
import { renderDetails } from './details.js'
import { STDIN } from './files.js'
import { htmlPage } from './html.js'
import { type Outcome, readFiles } from './read-files.js'
import { marked, renderDomains } from './screen.js'
import { type SelectionOptions, selectionOf } from './select.js'
import { tellOfUnread } from './unread.js'

export interface ReportOptions extends SelectionOptions {
  failures?: boolean | undefined
  details?: boolean | undefined
  html?: string | undefined
  csv?: boolean | undefined
  json?: boolean | undefined
}

/** Interval of showing progress, in milliseconds. */
const PROGRESS_INTERVAL = 100

interface Result {
  collection: Collection
  outcome: Outcome
  domains: readonly DomainAssessment[]
}

export async function runReport(
  paths: readonly string[],
  options: ReportOptions,
  context: CliContext,
): Promise<ExitStatus> {
  const keepsReports = [options.json, options.csv, options.details].includes(true)
  const collection = new Collection(selectionOf(options), keepsReports)
  const outcome = await read(paths, collection, context)
  const assessed = collection.assess()
  const domains = options.failures ? assessed.filter(hasFailures) : assessed
  const result = { collection, outcome, domains }
  if (options.html !== undefined) {
    const page = htmlPage(domains, { reports: collection.totals.reports, unread: outcome.unread })
    if (options.html === STDIN) context.stdout.write(page)
    else await writeFile(options.html, page)
  }
  if (options.html !== STDIN) print(result, options, context)
  tellOfUnread(outcome.unread, context)
  return statusOf(result)
}

async function read(
  paths: readonly string[],
  collection: Collection,
  context: CliContext,
): Promise<Outcome> {
  const progress = progressOn(context)
  let shownAt = Number.NEGATIVE_INFINITY
  const listener = {
    report: collection.add.bind(collection),
    progress(done: number, total: number) {
      const now = performance.now()
      if (now - shownAt < PROGRESS_INTERVAL) return
      shownAt = now
      progress.show(total > 1 ? `Reading reports: ${done} of ${total}` : 'Reading reports')
    },
  }
  return readFiles(paths, context, listener).finally(() => progress.clear())
}

function hasFailures({ policies }: DomainAssessment): boolean {
  return policies.some(({ failed, failures }) => failed > 0 || failures.length > 0)
}

function print(result: Result, options: ReportOptions, { stdout, env }: CliContext): void {
  const { collection, outcome, domains } = result
  const onlyFailures = options.failures === true
  if (options.json) {
    const reports = collection.reports
      .filter(({ report }) => !onlyFailures || report.policies.some(hasFailed))
      .map(({ file, report }) => ({ file, ...report }))
    const { unread } = outcome
    stdout.write(toJson({ format: 1, domains, reports, unread, totals: collection.totals }))
    return
  }
  if (options.csv) {
    for (const line of csvLines(collection.reports, onlyFailures)) stdout.write(line)
    return
  }
  const screen = screenOf(stdout, env)
  const lines = options.details
    ? renderDetails(collection.reports, onlyFailures, screen)
    : renderDomains(domains, screen)
  stdout.write(`${[...lines, ...renderEnd(collection, screen)].join('\n')}\n`)
}

function hasFailed({ totalFailureSessionCount }: { totalFailureSessionCount: number }): boolean {
  return totalFailureSessionCount > 0
}

function renderEnd(collection: Collection, screen: Screen): string[] {
  const { totals, senders, copies, leftOut, notes } = collection
  const parts = [
    `${counted(totals.reports, 'report')} from ${counted(senders.size, 'sender')}`,
    ...(copies > 0 ? [`${counted(copies, 'more report')} came twice`] : []),
    ...(leftOut > 0 ? [`${counted(leftOut, 'report')} left out by the options`] : []),
  ]
  return [
    ...notes.flatMap(({ text, file, reports }) =>
      marked(
        'warning',
        `${counted(reports, 'report')}, ${escapeRemoteText(file)} first: ${text}`,
        screen,
      ),
    ),
    parts.join('; '),
  ]
}

function statusOf({ domains, outcome }: Result): ExitStatus {
  const refused = domains.some(({ policies }) => policies.some((policy) => policy.refused > 0))
  if (refused) return EXIT.unprotected
  return outcome.unread.some(({ skipped }) => !skipped) ? EXIT.unknown : EXIT.fine
}
