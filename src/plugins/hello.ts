/**
 * The reply to EHLO on a connection that is handed over. The next client must not send STARTTLS
 * there: TLS is already active, or it failed.
 *
 * @module
 */
import type { Socket } from 'node:net'

const STARTTLS = /^250[- ]STARTTLS\b/i

/** Returns the lines of a reply to EHLO, without STARTTLS; the last one is marked as the last. */
export function withoutStartTls(lines: readonly string[]): string[] {
  const kept = lines.filter((line) => !STARTTLS.test(line))
  const last = kept.length - 1
  return kept.map((line, index) => (index === last ? line.replace(/^250-/, '250 ') : line))
}

/** Whether a line is the last one of a reply (RFC 5321 §4.2.1). */
export function endsReply(line: string): boolean {
  return !/^\d{3}-/.test(line)
}

/** A longer reply is passed on unchanged, in bytes */
const MAX_REPLY = 65_536

/**
 * Removes STARTTLS from the first reply after the greeting of a socket that was handed over. Works
 * for clients that read `data` events only.
 */
export function hideStartTls(socket: Socket): void {
  const { emit } = socket
  const emitTo = (...what: unknown[]): boolean => Reflect.apply(emit, socket, what)
  let held = ''
  let lines: string[] = []
  let replies = 0
  const passOn = (text: string) => {
    if (text !== '') emitTo('data', Buffer.from(text, 'latin1'))
  }
  const finish = () => {
    socket.emit = emit
    passOn(lines.map((line) => `${line}\r\n`).join('') + held)
  }
  socket.emit = (event: string | symbol, ...args: unknown[]) => {
    if (event !== 'data') return emitTo(event, ...args)
    const [chunk] = args
    held += Buffer.isBuffer(chunk) ? chunk.toString('latin1') : String(chunk)
    for (let end = held.indexOf('\n'); end >= 0; end = held.indexOf('\n')) {
      const line = held.slice(0, end).replace(/\r$/, '')
      held = held.slice(end + 1)
      lines.push(line)
      if (!endsReply(line)) continue
      if (++replies === 2) {
        lines = withoutStartTls(lines)
        finish()
        return true
      }
      passOn(`${lines.join('\r\n')}\r\n`)
      lines = []
    }
    if (held.length > MAX_REPLY) finish()
    return true
  }
}
