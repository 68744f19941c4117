/**
 * Reads sessions from the logs of Postfix and Exim: TLS and progress.
 *
 * @module
 */
import { readFile } from 'node:fs/promises'

export interface MxSession {
  /** The MX host's name */
  host: string
  /** In the server's words; undefined: plaintext, or a failed handshake */
  tls?: string
  /** If the server logs it (Exim) */
  sni?: string
  /** Whether MAIL FROM was sent; known after the session */
  mail: boolean
  /** Number of accepted messages */
  messages: number
  ended: boolean
  /** The last line in the log, without date and process */
  line: string
}

/** Returns the text of a log; empty if it does not exist yet. */
export async function readLog(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}

/**
 * Postfix: `Nov 22 01:50:00 lab mx.valid.example/smtpd[42]: connect from unknown[198.51.100.2]`.
 * A process has one session at a time.
 */
export function postfixSessions(log: string): MxSession[] {
  const sessions: MxSession[] = []
  const open = new Map<string, MxSession>()
  for (const line of log.split('\n')) {
    // A new master: open sessions ended with the old one, without a line
    if (/ postfix\/master\[\d+\]: daemon started/.test(line)) {
      for (const session of open.values()) session.ended = true
      open.clear()
    }
    const [, host = '', pid = '', text = ''] = / (\S+)\/smtpd\[(\d+)\]: (.*)$/.exec(line) ?? []
    if (text.startsWith('connect from ')) {
      const session = { host, mail: false, messages: 0, ended: false, line: text }
      open.set(pid, session)
      sessions.push(session)
    }
    const session = open.get(pid)
    if (session) notePostfix(session, text)
    if (session?.ended) open.delete(pid)
  }
  return sessions
}

function notePostfix(session: MxSession, text: string): void {
  const shown = text.replace(/ (?:from )?\S+\[[\d.:a-f]+\]/, '')
  if (/^(?:\w+: client=|NOQUEUE: reject: RCPT)/.test(text)) session.mail = true
  if (/^(?:connect|lost connection|\w+: client=)/.test(text)) return
  session.line = shown
  const tls = /TLS connection established from \S+ (?:to \S+ )?(TLS\S+)/.exec(text)
  if (tls?.[1]) session.tls = tls[1]
  if (!text.startsWith('disconnect from ')) return
  session.ended = true
  session.mail ||= / mail=/.test(text)
  session.messages = Number(/ data=(\d+)/.exec(text)?.[1] ?? 0)
  session.line = shown.replace(/ commands=\S+/, `; ${session.tls ?? 'no TLS'}`)
}

/**
 * Exim, whose lines are distinguished by the sender's port and the connected address: `2026-11-22
 * 01:50:00 SMTP connection from [198.51.100.2]:40000 I=[203.0.113.9]:25 (...)`.
 */
export function eximSessions(log: string, nameOf: (address: string) => string): MxSession[] {
  const sessions: MxSession[] = []
  const byPorts = new Map<string, MxSession>()
  for (const line of log.split('\n')) {
    const [, text = ''] = /^\S+ \S+ (.*)$/.exec(line) ?? []
    const [ports = '', address = ''] = /\]:\d+ I=\[([^\]]+)\]:25/.exec(text) ?? []
    if (/^SMTP connection from \[.* count = /.test(text)) {
      const host = nameOf(address)
      const session = { host, mail: false, messages: 0, ended: false, line: 'connected' }
      byPorts.set(ports, session)
      sessions.push(session)
      continue
    }
    // A session may have further lines after its end
    const session = byPorts.get(ports)
    if (session) noteExim(session, text)
  }
  return sessions
}

function noteExim(session: MxSession, text: string): void {
  const tls = / X=(\S+)/.exec(text)
  if (tls?.[1]) session.tls = tls[1]
  const sni = / SNI="?([^\s"]+)/.exec(text)
  if (sni?.[1]) session.sni = sni[1]
  if (/^\S+ <= /.test(text)) session.messages++
  if (/ <= |incomplete transaction|rejected (?:MAIL|RCPT|DATA)/.test(text)) session.mail = true
  if (/^SMTP connection from .*(?:closed by| lost)|^unexpected disconnection/.test(text)) {
    session.ended = true
  } else {
    session.line = text.replace(/\[[^\]]+\]:\d+ I=\S+ ?/, '').replace(/^\S+ <= \S+ /, 'took mail: ')
  }
}
