/**
 * `mta-sts check`.
 *
 * @module
 */

import { unlessAborted } from '../../net/deadline.js'
import { COMMON_HELP, NETWORK_HELP, parseArguments, wholeNumber } from '../arguments.js'
import { type Command, UsageError } from '../context.js'
import { openStore } from '../store.js'
import { listDomains } from './domains.js'
import { checkMany } from './many.js'
import { LIMITS, openRun, RUN_OPTIONS } from './open-run.js'
import { type Form, printerOf } from './outputs.js'
import { assessmentsIn } from './reports.js'

const OPTIONS = {
  ...RUN_OPTIONS,
  store: { type: 'string' },
  prefix: { type: 'string' },
  reports: { type: 'string', multiple: true },
  brief: { type: 'boolean' },
  ndjson: { type: 'boolean' },
  concurrency: { type: 'string' },
  deadline: { type: 'string' },
} as const

const HELP = `\
Usage: mta-sts check [OPTION]... DOMAIN...

Shows everything that a sender would find out about a domain: the TXT record,
the policy host and its certificate, the policy line by line, the MX records
against it, where TLS reports go; the verdict; and what to do about it.

  --connect         connect to each MX host, as a sender does, and see what it
                    proves by STARTTLS; no message is sent. Without it, MX hosts
                    are marked "·", not tried: many networks let nobody out to
                    port 25, and the check would wait for nothing
  --dane            look at DNSSEC and TLSA records as well (RFC 7672); needs a
                    validating resolver: on this machine, or named by --resolver
  --name HOST       what EHLO says; default: the name of this machine
${NETWORK_HELP}
  --store STORE     a policy store (see "mta-sts cache --help"): adds what a
                    sender does that has the domain's policy in it
  --prefix P        what keys in Redis begin with; default mta-sts:
  --reports DIR     TLS reports about the domain, as for "mta-sts report": says
                    whether mode testing may become enforce
  --file LIST       a file with a domain on each line, - for standard input; a
                    DOMAIN may be - as well
  --brief           a line for each domain
  --ndjson          a line of JSON for each domain, as soon as it is done
  --concurrency N   domains that are looked at beside each other; default 32
  --deadline MS     for each domain; default 300000, of several domains 60000
${COMMON_HELP}

Exit status
  0  fine: mode enforce, and nothing speaks against an MX host; with --connect,
     all of them have proved to be what the policy asks for. Or, with --dane,
     all of them are bound to TLSA records. Or the domain takes no mail at all
     (RFC 7505)
  1  a sender would refuse an MX host, or would deliver without protection:
     there is no usable policy, or its mode is testing or none
  2  wrong usage
  3  could not find out: DNS fails, an MX host cannot be connected to, or the
     time of --timeout or --deadline was over
Of several domains, 1 goes before 3.

JSON (--json), stable while "format" is 1: fields are added, never changed
  { "format": 1, "domains": [ {
      "domain", "unicodeDomain", "record": { "name", "status", "texts", "id",
        "problem", "resultType", "reason" },
      "policyHost": null or { "host", "addresses": [ { "address", "tlsVersion",
        "certificate", "status", "type", "bytes", "lastModified",
        "milliseconds", "problem", "noRoute", "timedOut" } ], "blocked",
        "problem" },
      "policy": null or { "valid", "mode", "mx", "maxAge", "problem",
        "lines": [ { "number", "text", "problem" } ] },
      "mx": { "status", "problem", "hosts": [ { "host", "cname", "preference",
        "inPolicy", "addresses", "blocked", "problem", "outcome",
        "dane": null or { "signed", "records", "problem", "outcome",
          "tlsrpt" },
        "sessions": null or [ { "address", "tlsVersion", "cipher",
          "certificate", "problem", "tlsaMatches", "daneProblem", "error",
          "noRoute", "milliseconds" } ] } ] },
      "tlsrpt": { "name", "status", "texts", "rua", "problem" },
      "verdict": { "status", "exitStatus", "mode", "text" },
      "cached": null or { "source", "mode", "id", "until", "status",
        "exitStatus", "problem", "text" },
      "advice": [ { "code", "urgency", "host", "resultType", "reason",
        "text" } ] } ] }
  With --ndjson, each line is one of "domains", and has "format" as well.
  "verdict" is that of senders that have no policy of the domain cached,
  "cached" of those that have one; "cached.source" is store, policy or unknown.
  "verdict.status" is fine, refused, unprotected or unknown. A "problem" is
  null, a text, or { "resultType", "reason", "detail" } in the terms of RFC 8460
  4.3. A "certificate" is null or { "names", "commonName", "issuer",
  "notBefore", "notAfter", "rsaBits" }. What was not looked at is null.
`

export const check: Command = {
  summary: 'what a sender would find out about a domain',
  help: HELP,
  printsAtInterrupt: true,
  async run(argv, context) {
    const { values, positionals } = parseArguments(argv, OPTIONS)
    const form = formOf(values)
    const { signal } = context
    const list = await unlessAborted(listDomains(positionals, values.file, context), signal)
    const deadline = list.length > 1 ? LIMITS.deadlineOfMany : LIMITS.deadline
    const limits = {
      concurrency: numberOr(LIMITS.concurrency, '--concurrency', values.concurrency, 1000),
      deadline: numberOr(deadline, '--deadline', values.deadline, 3_600_000),
    }
    const opened =
      values.store === undefined
        ? undefined
        : await unlessAborted(openStore(values.store, values.prefix), signal)
    try {
      const run = {
        ...(await unlessAborted(openRun(values, context, opened?.store), signal)),
        assessments: await unlessAborted(assessmentsIn(values.reports ?? [], context), signal),
      }
      const printer = printerOf(form, context, run.settings.now)
      return await checkMany(list, { run, context, printer, ...limits })
    } finally {
      await opened?.close()
    }
  },
}

function numberOr(fallback: number, option: string, text: string | undefined, max: number) {
  return text === undefined ? fallback : wholeNumber(option, text, { min: 1, max })
}

/** @throws UsageError where two forms are asked for */
function formOf(values: { json?: boolean; ndjson?: boolean; brief?: boolean }): Form {
  const forms = (['json', 'ndjson', 'brief'] as const).filter((form) => values[form])
  if (forms.length > 1) {
    throw new UsageError(`--${forms.join(' and --')} exclude each other.`)
  }
  if (values.ndjson) return 'ndjson'
  if (values.json) return 'json'
  return values.brief ? 'brief' : 'text'
}
