/**
 * `mta-sts check`.
 *
 * @module
 */
import { hostname } from 'node:os'
import { isHostName } from '../../dns/domain-name.js'
import { escapeRemoteText } from '../../text.js'
import {
  COMMON_HELP,
  COMMON_OPTIONS,
  domainArgument,
  NETWORK_HELP,
  NETWORK_OPTIONS,
  parseArguments,
} from '../arguments.js'
import { type CliContext, type Command, type ExitStatus, UsageError, worstOf } from '../context.js'
import { toJson } from '../layout.js'
import { openNetwork } from '../network.js'
import { openStore } from '../store.js'
import { painter, progressOn } from '../terminal.js'
import { type ExamineOptions, examine } from './examine.js'
import type { CheckOutput, CheckReport } from './findings.js'
import { renderReport } from './render.js'

const OPTIONS = {
  ...COMMON_OPTIONS,
  ...NETWORK_OPTIONS,
  connect: { type: 'boolean' },
  name: { type: 'string' },
  store: { type: 'string' },
  prefix: { type: 'string' },
} as const

const HELP = `\
Usage: mta-sts check [OPTION]... DOMAIN...

Shows everything that a sender would find out about a domain: the TXT record,
the policy host and its certificate, the policy line by line, the MX records
against it, where TLS reports go; what it comes to, and what to do about it.

  --connect         connect to each MX host, and see what it proves by STARTTLS;
                    no message is sent
  --name HOST       what EHLO says; default: the name of this machine
${NETWORK_HELP}
  --store STORE     a policy store (see "mta-sts cache --help"): tells whether
                    the policy has changed under the id that a sender holds
  --prefix P        what keys in Redis begin with; default mta-sts:
${COMMON_HELP}

Exit status
  0  fine: mode enforce, and nothing speaks against an MX host; with --connect,
     all of them have proved to be what the policy asks for. Or the domain
     takes no mail at all (RFC 7505)
  1  a sender would refuse an MX host, or would deliver without protection:
     there is no policy that can be had, or its mode is testing or none
  2  wrong usage
  3  could not find out: DNS fails, or an MX host cannot be connected to (many
     networks let nobody out to port 25)
Of several domains, 1 goes before 3.

JSON (--json), stable while "format" is 1: fields are added, never changed
  { "format": 1, "domains": [ {
      "domain", "record": { "name", "status", "texts", "id", "problem" },
      "policyHost": null or { "host", "addresses": [ { "address", "tlsVersion",
        "certificate", "status", "type", "bytes", "lastModified",
        "milliseconds", "problem", "noRoute" } ], "blocked", "problem" },
      "policy": null or { "valid", "mode", "mx", "maxAge", "problem",
        "lines": [ { "number", "text", "problem" } ] },
      "mx": { "status", "problem", "hosts": [ { "host", "preference",
        "inPolicy", "addresses", "blocked", "problem", "outcome",
        "sessions": null or [ { "address", "tlsVersion", "cipher",
          "certificate", "problem", "error", "noRoute",
          "milliseconds" } ] } ] },
      "tlsrpt": { "name", "status", "texts", "rua", "problem" },
      "verdict": { "status", "exitStatus", "mode", "text" },
      "advice": [ { "code", "text" } ] } ] }
  "verdict.status" is fine, refused, unprotected or unknown. A "problem" is
  null, a text, or { "resultType", "reason", "detail" } in the terms of RFC 8460
  4.3. A "certificate" is null or { "names", "commonName", "issuer",
  "notBefore", "notAfter" }. What was not looked at is null.
`

export const check: Command = {
  summary: 'what a sender would find out about a domain',
  help: HELP,
  async run(argv, context) {
    const { values, positionals } = parseArguments(argv, OPTIONS)
    const domains = [...new Set(positionals.map(domainArgument))]
    if (domains.length === 0) throw new UsageError('Which domain? mta-sts check DOMAIN...')
    const { settings, timeout } = await openNetwork(values, context)
    const connection = values.connect ? { timeout, name: ehloName(values.name) } : undefined
    const opened = values.store ? await openStore(values.store, values.prefix) : undefined
    try {
      const options = { settings, connection, store: opened?.store }
      return await checkAll(domains, options, { context, json: values.json === true })
    } finally {
      await opened?.close()
    }
  },
}

function ehloName(given: string | undefined): string {
  if (given === undefined) return isHostName(hostname()) ? hostname() : '[127.0.0.1]'
  if (isHostName(given)) return given
  throw new UsageError(`--name takes a host name, not "${escapeRemoteText(given)}".`)
}

/** How many domains are looked at beside each other. */
const CONCURRENCY = 4

async function checkAll(
  domains: readonly string[],
  options: Omit<ExamineOptions, 'onStep'>,
  { context, json }: { context: CliContext; json: boolean },
): Promise<ExitStatus> {
  const progress = progressOn(context)
  const paint = painter(context.stdout, context.env)
  const { now } = options.settings
  const reports: CheckReport[] = []
  try {
    for await (const report of inOrder(domains, (domain) =>
      examine(domain, { ...options, onStep: (what) => progress.show(`${domain}: ${what}`) }),
    )) {
      progress.clear()
      if (!json) {
        const gap = reports.length > 0 ? '\n' : ''
        context.stdout.write(`${gap}${renderReport(report, paint, now())}`)
      }
      reports.push(report)
    }
  } finally {
    progress.clear()
  }
  if (json) {
    const output: CheckOutput = { format: 1, domains: reports }
    context.stdout.write(toJson(output))
  }
  return worstOf(reports.map(({ verdict }) => verdict.exitStatus))
}

/** Results in the order of the items, each as soon as it and those before it are there. */
async function* inOrder<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const underWay: Promise<R>[] = []
  let begun = 0
  const begin = () => {
    const next = items.slice(begun, begun + 1).map(work)
    begun += next.length
    for (const result of next) result.catch(() => undefined)
    underWay.push(...next)
  }
  for (let i = 0; i < CONCURRENCY; i++) begin()
  for (let result = underWay.shift(); result !== undefined; result = underWay.shift()) {
    yield await result
    begin()
  }
}
