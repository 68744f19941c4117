/**
 * `mta-sts watch`.
 *
 * @module
 */
import { spawn } from 'node:child_process'
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
import { toJson } from '../layout.js'
import { painter } from '../terminal.js'
import { minute } from '../time.js'
import { type Change, changesBetween, remembered, type Snapshot, snapshotOf } from './changes.js'

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
  --exit-on-change  end with status 1 at the first change
  --run COMMAND     run by the shell for each change, with MTA_STS_DOMAIN,
                    MTA_STS_CHANGE (a code) and MTA_STS_TEXT in its environment
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
    const reports = await look(list, options)
    // A round that Ctrl-C has cut short says nothing about the domains that it did not reach
    if (context.signal?.aborted) return status
    status = worstOf(reports.map(({ verdict }) => verdict.exitStatus))
    let changed = false
    for (const report of reports) {
      const snapshot = snapshotOf(report, (context.now ?? Date.now)())
      const before = known.get(report.domain)
      known.set(report.domain, remembered(before, snapshot))
      for (const change of changesBetween(before, snapshot)) {
        changed ||= before !== undefined
        await tell(report.domain, change, options)
      }
    }
    if (exits && changed) return EXIT.unprotected
    if (round >= rounds) return status
    await pause(interval, context)
    if (context.signal?.aborted) return status
  }
}

/** Looks at all domains; DNS answers and sessions of the last round are not used again. */
async function look(list: readonly Listed[], options: WatchOptions): Promise<CheckReport[]> {
  const { context, values } = options
  const reports: CheckReport[] = []
  const run = await unlessAborted(openRun(values, context, undefined), context.signal)
  const printer = { add: (report: CheckReport) => void reports.push(report) }
  const { concurrency, deadlineOfMany: deadline } = LIMITS
  await checkMany(list, { run, context, printer, concurrency, deadline })
  return reports
}

async function pause(milliseconds: number, { sleep: own, signal }: CliContext): Promise<void> {
  if (own !== undefined) return own(milliseconds, signal)
  await sleep(milliseconds, undefined, signal === undefined ? {} : { signal }).catch(
    () => undefined,
  )
}

async function tell(domain: string, change: Change, options: WatchOptions): Promise<void> {
  const { context, json, command } = options
  const time = new Date((context.now ?? Date.now)())
  if (json) {
    const line = { format: 1, time: time.toISOString(), domain, ...change }
    context.stdout.write(toJson(line, 0))
  } else {
    const paint = painter(context.stdout, context.env)
    const head = `${minute(time)} ${paint('bold', escapeRemoteText(domain))}`
    context.stdout.write(`${head} ${change.code}: ${change.text}\n`)
  }
  if (command !== undefined) await runCommand(command, { domain, change, context })
}

/** Runs the command of `--run`; its output goes to that of `watch`. */
function runCommand(
  command: string,
  { domain, change, context }: { domain: string; change: Change; context: CliContext },
): Promise<void> {
  const env = {
    ...context.env,
    MTA_STS_DOMAIN: domain,
    MTA_STS_CHANGE: change.code,
    MTA_STS_TEXT: change.text,
  }
  return new Promise((resolve) => {
    const { signal } = context
    if (signal?.aborted) return resolve()
    const child = spawn(command, { shell: true, env, signal, stdio: ['ignore', 'pipe', 'pipe'] })
    child.stdout.on('data', (chunk: Buffer) => context.stdout.write(chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => context.stderr.write(chunk.toString()))
    const failed = (why: string) => {
      complain(`--run: the command failed (${why})`, context)
      resolve()
    }
    child.once('error', (error) => (signal?.aborted ? resolve() : failed(textOfThrown(error))))
    child.once('close', (code) => {
      if (code === 0) resolve()
      else failed(`status ${code}`)
    })
  })
}
