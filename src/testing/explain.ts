/**
 * Describes the events of a mail world in about ten lines: DNS queries, connections, SMTP commands
 * and replies.
 *
 * @module
 */
import { escapeRemoteText } from '../text.js'
import { titleOf } from './inbox.js'
import type { DnsQuery, LogEntry, MxConnection } from './log.js'
import type { ReceivedMessage } from './message.js'

/** The events to describe. */
export interface Story {
  log: readonly LogEntry[]
  inbox: readonly ReceivedMessage[]
  /** Faults and rules in force */
  inForce: readonly string[]
  /** Descriptions of mail to domains that were not made */
  strays: readonly string[]
}

const LINES = 10
const WIDTH = 200

/** Returns the description; the latest events if there are too many. */
export function explained({ log, inbox, inForce, strays }: Story): string {
  const events = linesOf(log)
  const ends = [
    ...strays,
    ...(inForce.length === 0 ? [] : [`in force: ${inForce.join('; ')}`]),
    arrived(inbox),
  ]
  const room = Math.max(1, LINES - ends.length)
  const left = events.length - room
  const shown = left > 0 ? [`(${left + 1} earlier lines)`, ...events.slice(left + 1)] : events
  const lines = shown.length === 0 ? ['no sender asked or dialled anything'] : shown
  return ['In this mail world:', ...lines, ...ends]
    .map((line, index) => (index === 0 ? line : `  ${cut(line)}`))
    .join('\n')
}

function linesOf(log: readonly LogEntry[]): string[] {
  const lines: string[] = []
  let queries: DnsQuery[] = []
  const flush = (): void => {
    if (queries.length > 0) lines.push(asked(queries))
    queries = []
  }
  for (const entry of log) {
    if (entry.kind === 'query') {
      queries.push(entry)
      continue
    }
    if (entry.kind === 'dial' && entry.outcome === 'connected') continue
    flush()
    lines.push(lineOf(entry))
  }
  flush()
  return lines
}

function lineOf(entry: Exclude<LogEntry, DnsQuery>): string {
  if (entry.kind === 'dial') {
    return `dialled ${entry.host}:${entry.port} (${entry.address}): refused`
  }
  if (entry.kind === 'get') return `fetched https://${entry.host}${entry.path}: ${entry.status}`
  return conversation(entry)
}

function asked(queries: readonly DnsQuery[]): string {
  const questions = new Map<string, string>()
  for (const { name, type, outcome } of queries) questions.set(`${name} ${type}`, outcome)
  const words = [...questions].map(([question, outcome]) =>
    outcome === 'answered' ? question : `${question} (${outcome})`,
  )
  return `asked the DNS for ${words.join(', ')}`
}

/** Describes a connection: client, TLS, each command with its reply. */
function conversation({ mx, port, lines, tls, error, closed, servername }: MxConnection): string {
  const client = lines.find(({ from, text }) => from === 'client' && /^(?:EHLO|HELO) /i.test(text))
  const who = client?.text.slice(5) ?? 'a client'
  const said: string[] = []
  for (const { from, text } of lines) {
    if (from === 'client') said.push(text)
    else if (!/^\d{3}-/.test(text) && said.length > 0) said[said.length - 1] += ` → ${text}`
    else if (said.length === 0) said.push(text)
  }
  const worth = said.filter(
    (text) => !/^(?:220 |EHLO .* → 250|STARTTLS → 220|DATA → 354)/i.test(text),
  )
  const security = tls ? tls.version : servername === undefined ? 'plaintext' : 'no TLS completed'
  const end = error === undefined ? '' : `; ${error.message}`
  const rest = worth.join(', ') || (closed ? 'closed before MAIL FROM' : 'said nothing more')
  return escapeRemoteText(`${who} at ${mx}:${port}, ${security}: `).concat(`${rest}${end}`)
}

function arrived(inbox: readonly ReceivedMessage[]): string {
  if (inbox.length === 0) return 'no message arrived'
  const last = inbox.slice(-3).map(titleOf).join('; ')
  return `${inbox.length} arrived${inbox.length > 3 ? ', the last of them' : ''}: ${last}`
}

function cut(line: string): string {
  const plain = line.replaceAll(/[\p{Cc}\p{Cf}]/gu, ' ')
  return plain.length > WIDTH ? `${plain.slice(0, WIDTH)}…` : plain
}
