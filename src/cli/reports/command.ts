/**
 * `mta-sts reports`: the TLS reports that a sender has to send.
 *
 * @module
 */
import { escapeRemoteText } from '../../text.js'
import type { ReportStore, StoredReport } from '../../tlsrpt/store.js'
import { COMMON_HELP, COMMON_OPTIONS, parseArguments } from '../arguments.js'
import { widthOf } from '../columns.js'
import { complain } from '../complain.js'
import { type CliContext, type Command, EXIT, type ExitStatus, UsageError } from '../context.js'
import { type Column, formatTable, toJson, wrap } from '../layout.js'
import { STORE_HELP } from '../store.js'
import { type Screen, screenOf } from '../terminal.js'
import { minute } from '../time.js'
import { openReportStore } from './store.js'

const OPTIONS = {
  ...COMMON_OPTIONS,
  store: { type: 'string' },
  prefix: { type: 'string' },
  send: { type: 'string' },
  drop: { type: 'string' },
} as const

const HELP = `\
Usage: mta-sts reports --store STORE
       mta-sts reports --store STORE --send ID
       mta-sts reports --store STORE --drop ID

The TLS reports that a sender has to send: which are being counted, wait, are
being sent ("claimed"), or have failed, why, and when they are tried again.

  --send ID         make a report due: the sender takes it with its next run,
                    within a minute where it sends automatically
  --drop ID         remove a report; it is not sent
${STORE_HELP}
${COMMON_HELP}

Exit status: 0 done; 1 there is no such report, or it is being sent at the
moment; 2 wrong usage; 3 the store cannot be opened, or fails. A store in SQLite
needs Node 22.13 or later; one in Redis needs the package redis.

JSON (--json), stable while "format" is 1: fields are added, never changed
  list    { "format": 1, "reports": [ { "id", "day", "domain", "state",
            "notBefore", "attempts", "done", "problem" } ] }
  --send  { "format": 1, "id", "due" }
  --drop  { "format": 1, "id", "dropped" }
  "state" is counting, waiting, claimed or failed; "id" and "notBefore" are null
  while a day is counted.
`

interface Output {
  context: CliContext
  json: boolean
}

export const reports: Command = {
  summary: 'the TLS reports that a sender has to send',
  help: HELP,
  async run(argv, context) {
    const { values, positionals } = parseArguments(argv, OPTIONS)
    if (positionals.length > 0) throw new UsageError('reports takes options only.')
    if (values.store === undefined) throw new UsageError('Which store? --store sqlite:PATH')
    const { send, drop } = values
    if (send !== undefined && drop !== undefined) {
      throw new UsageError('Either --send or --drop, not both.')
    }
    const { store, close } = await openReportStore(values.store, values.prefix)
    const output = { context, json: values.json === true }
    try {
      if (send !== undefined) return await makeDue(store, send, output)
      if (drop !== undefined) return await remove(store, drop, output)
      return await list(store, output)
    } finally {
      await close()
    }
  },
}

async function list(store: ReportStore, { context, json }: Output): Promise<ExitStatus> {
  const found: StoredReport[] = []
  if (store.list) for await (const report of store.list()) found.push(report)
  found.sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1))
  context.stdout.write(
    json
      ? toJson({ format: 1, reports: found.map(toEntry) })
      : renderReports(found, screenOf(context.stdout, context.env)),
  )
  return EXIT.fine
}

function sortKey({ day, domain, id = '' }: StoredReport): string {
  return `${day} ${domain} ${id}`
}

async function makeDue(
  store: ReportStore,
  id: string,
  { context, json }: Output,
): Promise<ExitStatus> {
  const { now = Date.now } = context
  const due = (await store.makeDue?.(id, now())) === true
  if (json) context.stdout.write(toJson({ format: 1, id, due }))
  else if (due) context.stdout.write(`${escapeRemoteText(id)} is due\n`)
  else complain(`${noSuch(id)}, or it is being sent.`, context)
  return due ? EXIT.fine : EXIT.unprotected
}

async function remove(
  store: ReportStore,
  id: string,
  { context, json }: Output,
): Promise<ExitStatus> {
  const dropped = (await store.drop?.(id)) === true
  if (json) context.stdout.write(toJson({ format: 1, id, dropped }))
  else if (dropped) context.stdout.write(`Dropped ${escapeRemoteText(id)}\n`)
  else complain(`${noSuch(id)}.`, context)
  return dropped ? EXIT.fine : EXIT.unprotected
}

function noSuch(id: string): string {
  return `There is no report ${escapeRemoteText(id)}`
}

function toEntry({ id, day, domain, state, notBefore, progress }: StoredReport) {
  return {
    id: id ?? null,
    day,
    domain,
    state,
    notBefore: notBefore === undefined ? null : isoTime(notBefore),
    attempts: progress.attempts,
    done: progress.done,
    problem: progress.problem ?? null,
  }
}

/** A store may hold any number; a Date does not. */
function isoTime(time: number): string {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString()
}

/** The other columns, with the space between them, take the rest. */
const domainWidth = (width: number): number => width - 48

const columnsFor = (width: number): readonly Column[] => [
  { title: 'Day', width: 10 },
  { title: 'Domain', width: domainWidth(width) },
  { title: 'State', width: 8 },
  { title: 'From (UTC)', width: 16 },
  { title: 'Tries', width: 5 },
]

function renderReports(found: readonly StoredReport[], { width }: Screen): string {
  if (found.length === 0) return 'Nothing is counted, and no report waits.\n'
  const [head = '', ...rows] = formatTable(columnsFor(width), found.map(toRow), width)
  const lines = [head]
  for (const [index, row] of rows.entries()) {
    const { id, progress, domain = '' } = found[index] ?? {}
    lines.push(row)
    // The cell has the beginning of a long name
    if (widthOf(domain) > domainWidth(width)) lines.push(...wrap(`  ${domain}`, width))
    if (id !== undefined) lines.push(...wrap(`  ${escapeRemoteText(id)}`, width))
    if (progress?.problem !== undefined) {
      lines.push(...wrap(`  ${escapeRemoteText(progress.problem)}`, width))
    }
  }
  return `${lines.join('\n')}\n`
}

function toRow({ day, domain, state, notBefore, progress }: StoredReport): string[] {
  return [
    escapeRemoteText(day),
    escapeRemoteText(domain),
    state,
    notBefore === undefined ? '' : notBefore === 0 ? 'now' : minute(new Date(notBefore)),
    String(progress.attempts),
  ]
}
