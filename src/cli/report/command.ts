/**
 * `mta-sts report`.
 *
 * @module
 */
import { COMMON_HELP, COMMON_OPTIONS, parseArguments } from '../arguments.js'
import { type Command, UsageError } from '../context.js'

const HELP = `\
Usage: mta-sts report [OPTION]... FILE...

May a domain's policy go to mode "enforce"? Adds up the TLS reports (RFC 8460)
of other senders and answers for each domain: what enforce would refuse, at
which MX host and why, and whether there is enough data to tell.

A FILE is a report (JSON, also compressed), a mail with reports, an mbox, a
directory of such files, a Maildir for example, or - for standard input. Mails
need the package postal-mime. A report that comes twice counts once. Signatures
of mails are not verified: a report may be forged.

  --domain NAME     only reports of this domain; may be repeated
  --since DAY       only reports of this UTC day (2026-08-01) and later
  --until DAY       only reports of this day and earlier
  --from TEXT       only senders whose name has this in it
  --failures        only domains, and rows, with failed sessions
  --details         a row for each sender, day and policy
  --html FILE       also write a page for a browser, complete in itself
  --csv             print rows for a spreadsheet
${COMMON_HELP}

Exit status: 0 nothing failed that enforce would refuse; 1 something did; 2
wrong usage; 3 something could not be read. Files of a directory that look
nothing like reports are passed over, with a word.

JSON (--json), stable while "format" is 1: fields are added, never changed
  { "format": 1,
    "domains": [ { "domain", "verdict": { "answer", "text" }, "policies": [ {
      "policyType", "sessions", "failed", "refused", "percent",
      "modes": [ { "mode", "sessions", "firstDay", "lastDay" } ],
      "days": { "first", "last", "covered", "missing", "gaps": [ { "first",
        "last", "days" } ] },
      "senders", "missingSenders": [ { "name", "sessions", "failed", "days",
        "lastDay" } ],
      "lastFailure", "failures": [ { "resultType", "mxHost", "reason",
        "weight", "sessions", "senders", "firstDay", "lastDay", "advice" } ],
      "series": [ { "day", "sessions", "failed" } ] } ] } ],
    "reports": [ { "file", "organizationName", "dateRange": { "start",
      "end" }, "contactInfo", "reportId", "policies": [ { "policyType",
        "policyString", "policyDomain", "mxHost",
        "totalSuccessfulSessionCount", "totalFailureSessionCount",
        "failureDetails": [ { "resultType", "sendingMtaIp",
          "receivingMxHostname", "receivingMxHelo", "receivingIp",
          "failedSessionCount", "additionalInformation",
          "failureReasonCode" } ] } ],
      "notes": [ { "code", "text" } ] } ],
    "unread": [ { "file", "error", "code", "named", "skipped" } ],
    "totals": { "reports", "sessions", "failed" } }
  "answer": ready, not-yet, would-defer. "weight": refused, dane, not-refused.
  Fields of reports as in RFC 8460 4.4, in camel case; what a report does not
  say is left out. "named": the file was named on the command line.
  "skipped": it was not, and looks like no report.
`

export const report: Command = {
  summary: 'may a domain enforce? Adds up the TLS reports of other senders',
  help: HELP,
  async run(argv, context) {
    const { values, positionals } = parseArguments(argv, {
      ...COMMON_OPTIONS,
      domain: { type: 'string', multiple: true },
      since: { type: 'string' },
      until: { type: 'string' },
      from: { type: 'string' },
      failures: { type: 'boolean' },
      details: { type: 'boolean' },
      html: { type: 'string' },
      csv: { type: 'boolean' },
    })
    if (positionals.length === 0) throw new UsageError('Which files? mta-sts report FILE...')
    if ([values.json, values.csv, values.details].filter(Boolean).length > 1) {
      throw new UsageError('--json, --csv and --details exclude each other.')
    }
    // Only this command needs what follows
    const { runReport } = await import('./run-report.js')
    return runReport(positionals, values, context)
  },
}
