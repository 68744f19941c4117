/**
 * `--reports`: the assessment of the domains by TLS reports of other senders.
 *
 * @module
 */
import { MtaStsError } from '../../errors.js'
import type { DomainAssessment } from '../../tlsrpt/assess-types.js'
import type { Report } from '../../tlsrpt/parse.js'
import type { CliContext } from '../context.js'
import { readFiles } from '../report/read-files.js'

/** Assessments by domain, in A-labels. */
export type Assessments = ReadonlyMap<string, DomainAssessment['verdict']>

/** @throws MtaStsError where a file that was named cannot be read */
export async function assessmentsIn(
  paths: readonly string[],
  context: CliContext,
): Promise<Assessments> {
  if (paths.length === 0) return new Map()
  const reports: Report[] = []
  const { unread } = await readFiles(paths, context, {
    report: (_, report) => reports.push(report),
    progress: () => undefined,
  })
  const failed = unread.find(({ named }) => named)
  if (failed !== undefined) throw new MtaStsError(`--reports: ${failed.error}`, 'EREPORTS')
  const { assess } = await import('../../tlsrpt/assess.js')
  return new Map(assess(reports).map(({ domain, verdict }) => [domain, verdict]))
}
