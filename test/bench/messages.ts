/**
 * The sent message, and the check that it was accepted.
 *
 * @module
 */
import type { SendMailOptions } from 'nodemailer'
import type { Server } from './servers/server.js'
import type { SinkCounts } from './servers/setup.js'

const LINE = 'All work and no play makes Jack a dull boy, said the line of text.\r\n'

/** 2 KB of text. */
const TEXT = LINE.repeat(Math.ceil(2048 / LINE.length))

export function messageTo(recipient: string): SendMailOptions {
  return {
    from: 'sender@sender.example',
    to: recipient,
    subject: 'A message of 2 KB',
    text: TEXT,
  }
}

/** The counts that the MX host must have. */
export interface Expected {
  messages: number
  /** Default: one for each message */
  recipients?: number
  /** Minimum of each message; default: those of {@link messageTo} */
  size?: number
}

/** @throws unless the MX host has these counts since the last call, all over TLS */
export async function checkTaken(sink: Server<'sink'>, expected: Expected): Promise<SinkCounts> {
  const { messages, recipients = messages, size = TEXT.length } = expected
  const counts = await sink.take()
  const whole = counts.bytes >= messages * size
  const complete = counts.messages === messages && counts.recipients === recipients && whole
  if (complete && counts.plaintext === 0) return counts
  const should = JSON.stringify({ messages, recipients, size })
  throw new Error(`The MX host should have taken ${should}, but: ${JSON.stringify(counts)}`)
}
