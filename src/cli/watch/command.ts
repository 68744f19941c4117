/**
 * `mta-sts watch`.
 *
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { unlessAborted } from '../../net/deadline.js'
import { escapeRemoteText, textOfThrown } from '../../text.js'
import { COMMON_HELP, NETWORK_HELP, parseArguments, wholeNumber } from '../arguments.js'
import { type Listed, listDomains } from '../check/domains.js'
import type { CheckReport } from '../check/findings.js'
import { checkMany } from '../check/many.js'
import { LIMITS, openRun, RUN_OPTIONS, type RunArguments } from '../check/open-run.js'
import { complain } from '../complain.js'
import { type CliContext, type Command, EXIT, type ExitStatus, worstOf } from '../context.js'
import { toJson, wrap } from '../layout.js'
import { isScreen, progressOn, screenOf } from '../terminal.js'
import { minute } from '../time.js'
import {
  type Change,
  changesBetween,
  isOfDomain,
  remembered,
  type Snapshot,
  snapshotOf,
} from './changes.js'
import { runCommand } from './run-command.js'

const OPTIONS = {
  ...RUN_OPTIONS,
  interval: { type: 'string' },
  rounds: { type: 'string' },
  'exit-on-change': { type: 'boolean' },
  run: { type: 'string' },
} as const

const HELP = `\
Usage: mta-sts watch [OPTION]... DOMAIN...

Looks at domains again and again, and prints what changes: the verdict, the TXT
record, the policy, the MX records, certificates that end within 14 days. What
is wrong already at the first look is printed, too.

  --interval S      seconds from one look to the next; default 3600, an hour
  --rounds N        end after so many looks; default: go on until Ctrl-C
  --exit-on-change  end with status 1 at the first change; a look that finds
                    nothing out is none
  --run COMMAND     run by the shell for each change, with MTA_STS_DOMAIN,
                    MTA_STS_CHANGE (a code) and MTA_STS_TEXT in its environment;
                    ended after a minute
  --connect         connect to each MX host; without it there is nothing to be
                    said of their certificates
  --dane            look at DNSSEC and TLSA records as well (RFC 7672)
  --name HOST       what EHLO says; default: the name of this machine
  --file LIST       a file with a domain on each line, - for standard input
${NETWORK_HELP}
${COMMON_HELP}

Exit status: that of the last look, as with "check"; 1 with --exit-on-change; 2
wrong usage.

JSON (--json), stable while "format" is 1: a line for each change
  { "format": 1, "time", "domain", "code", "text" }
  "code" is verdict, record, policy, mx or certificate.
`

export const watch: Command = {
  summary: 'prints what changes about a domain, on an interval',
  help: HELP,
  printsAtInterrupt: true,
  async run(argv, context) {
    const { values, positionals } = parseArguments(argv, OPTIONS)
    const { signal } = context
    const list = await unlessAborted(listDomains(positionals, values.file, context), signal)
    const seconds = wholeNumber('--interval', values.interval ?? '3600', { min: 1, max: 604_800 })
    const rounds = wholeNumber('--rounds', values.rounds ?? String(MAX_ROUNDS), {
      min: 1,
      max: MAX_ROUNDS,
    })
    return watchAll(list, {
      ...{ context, values, rounds, command: values.run },
      interval: seconds * 1000,
      json: values.json === true,
      exits: values['exit-on-change'] === true,
    })
  },
}

const MAX_ROUNDS = 999_999_999

interface WatchOptions {
  context: CliContext
  values: RunArguments
  rounds: number
  interval: number
  json: boolean
  exits: boolean
  command: string | undefined
}

async function watchAll(list: readonly Listed[], options: WatchOptions): Promise<ExitStatus> {
  const { context, rounds, interval, exits } = options
  const known = new Map<string, Snapshot>()
  let status: ExitStatus = EXIT.fine
  for (let round = 1; ; round++) {
    const reports = await look(list, options, round)
    // A round that Ctrl-C has cut short says nothing about the domains that it did not reach
    if (context.signal?.aborted) return status
    status = worstOf(reports?.map(({ verdict }) => verdict.exitStatus) ?? [EXIT.unknown])
    let changed = false
    for (const report of reports ?? []) {
      const snapshot = snapshotOf(report, (context.now ?? Date.now)())
      const before = known.get(report.domain)
      known.set(report.domain, remembered(before, snapshot))
      for (const change of changesBetween(before, snapshot)) {
        changed ||= before !== undefined && isOfDomain(change, before, snapshot)
        await tell(report.domain, change, options)
      }
    }
    if (exits && changed) return EXIT.unprotected
    if (round >= rounds) return status
    await pause(interval, context)
    if (context.signal?.aborted) return status
  }
}

/**
 * Looks at all domains; DNS answers and sessions of the last round are not used again. Resolves to
 * undefined where a later look failed as a whole, since the next one may succeed: the name server of
 * `--resolver` was not found, say.
 */
async function look(
  list: readonly Listed[],
  { context, values }: WatchOptions,
  round: number,
): Promise<CheckReport[] | undefined> {
  const reports: CheckReport[] = []
  const printer = { add: (report: CheckReport) => void reports.push(report) }
  const { concurrency, deadlineOfMany: deadline } = LIMITS
  try {
    const run = await unlessAborted(openRun(values, context, undefined), context.signal)
    await checkMany(list, { run, context, printer, concurrency, deadline })
    return reports
  } catch (error) {
    if (round === 1 || context.signal?.aborted) throw error
    complain(`the look failed: ${textOfThrown(error)}`, context)
    return undefined
  }
}

async function pause(milliseconds: number, context: CliContext): Promise<void> {
  const { sleep: own, signal, now = Date.now } = context
  if (own !== undefined) return own(milliseconds, signal)
  const progress = progressOn(context)
  progress.show(`next look at ${minute(new Date(now() + milliseconds))} UTC; Ctrl-C ends`)
  await sleep(milliseconds, undefined, signal === undefined ? {} : { signal }).catch(
    () => undefined,
  )
  progress.clear()
}

async function tell(domain: string, change: Change, options: WatchOptions): Promise<void> {
  const { context, json, command } = options
  const time = new Date((context.now ?? Date.now)())
  if (json) {
    const line = { format: 1, time: time.toISOString(), domain, ...change }
    context.stdout.write(toJson(line, 0))
  } else {
    const { stdout, env } = context
    const { paint, width } = screenOf(stdout, env)
    const name = escapeRemoteText(domain)
    const line = `${minute(time)} ${name} ${change.code}: ${change.text}`
    // A log has one line for a change
    const lines = isScreen(stdout, env) ? wrap(line, width - 2) : [line]
    stdout.write(`${lines.join('\n  ').replace(name, paint('bold', name))}\n`)
  }
  if (command === undefined) return
  const env = {
    ...context.env,
    MTA_STS_DOMAIN: domain,
    MTA_STS_CHANGE: change.code,
    MTA_STS_TEXT: change.text,
  }
  // Standard output has lines of JSON only
  const output = json ? context.stderr : context.stdout
  await runCommand(command, { env, output, context })
}
