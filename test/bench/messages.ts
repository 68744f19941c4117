/**
 * The sent message, and the check that it was accepted.
 *
 * @module
 */
import type { SendMailOptions } from 'nodemailer'
import type { Server } from './servers/server.js'

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

/** @throws unless the MX host has accepted this many messages since the last call, all over TLS */
export async function checkTaken(sink: Server<'sink'>, messages: number): Promise<void> {
  const counts = await sink.take()
  const whole = counts.bytes >= messages * TEXT.length
  if (counts.messages === messages && counts.recipients === messages && whole) {
    if (counts.plaintext === 0) return
  }
  throw new Error(`The MX host should have taken ${messages}, but: ${JSON.stringify(counts)}`)
}
