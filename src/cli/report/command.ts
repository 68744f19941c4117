/**
 * `mta-sts report`.
 *
 * @module
 */
import { escapeRemoteText } from '../../text.js'
import { COMMON_HELP, COMMON_OPTIONS, parseArguments } from '../arguments.js'
import { type CliContext, type Command, EXIT, type ExitStatus, UsageError } from '../context.js'
import { listed, toJson } from '../layout.js'
import { painter, progressOn } from '../terminal.js'
import { type FoundFiles, readReports } from './files.js'
import { renderSummary } from './render.js'
import { summarize, type Totals, totalsOf } from './summary.js'

const HELP = `\
Usage: mta-sts report [OPTION]... FILE...

What other senders saw of your domains: a table of their TLS reports (RFC 8460).
A FILE is a report (JSON, gzip or not), a mail with one, or a directory of such
files, a Maildir for example. A report that comes twice counts once. Signatures
of mails are not verified: a report may be forged.

${COMMON_HELP}

Exit status: 0 no session failed; 1 some failed; 2 wrong usage; 3 a FILE cannot
be read. Files of a directory that are no reports are passed over, with a word.

JSON (--json), stable while "format" is 1: fields are added, never changed
  { "format": 1, "reports": [ { "file", "organizationName", "dateRange":
      { "start", "end" }, "contactInfo", "reportId", "policies": [ {
        "policyType", "policyString", "policyDomain", "mxHost",
        "totalSuccessfulSessionCount", "totalFailureSessionCount",
        "failureDetails": [ { "resultType", "sendingMtaIp",
          "receivingMxHostname", "receivingMxHelo", "receivingIp",
          "failedSessionCount", "additionalInformation",
          "failureReasonCode" } ] } ] } ],
    "unread": [ { "file", "error", "named" } ],
    "totals": { "reports", "sessions", "failed" } }
  Fields as in RFC 8460 4.4, in camel case; what a report does not say is left
  out. "named": the file was named on the command line.
`

export const report: Command = {
  summary: 'what other senders saw of your domains: reads TLS reports',
  help: HELP,
  async run(argv, context) {
    const { values, positionals } = parseArguments(argv, COMMON_OPTIONS)
    if (positionals.length === 0) throw new UsageError('Which files? mta-sts report FILE...')
    const progress = progressOn(context)
    progress.show('Reading reports')
    const found = await readReports(positionals).finally(() => progress.clear())
    const reports = found.reports.map((one) => one.report)
    const totals = totalsOf(reports)
    if (values.json) {
      const { unread } = found
      const flat = found.reports.map(({ file, report: fields }) => ({ file, ...fields }))
      context.stdout.write(toJson({ format: 1, reports: flat, unread, totals }))
    } else {
      const paint = painter(context.stdout, context.env)
      context.stdout.write(renderSummary(summarize(reports), totals, paint))
    }
    tellOfUnread(found, context)
    return statusOf(found, totals)
  },
}

function tellOfUnread({ unread }: FoundFiles, { stderr }: CliContext): void {
  for (const { file, error } of unread.filter(({ named }) => named)) {
    stderr.write(`mta-sts: ${escapeRemoteText(file)}: ${error}\n`)
  }
  const others = unread.filter(({ named }) => !named).map(({ file }) => escapeRemoteText(file))
  if (others.length > 0) stderr.write(`mta-sts: passed over: ${listed(others, 3)}\n`)
}

function statusOf({ unread }: FoundFiles, { failed }: Totals): ExitStatus {
  if (failed > 0) return EXIT.unprotected
  return unread.some(({ named }) => named) ? EXIT.unknown : EXIT.fine
}
