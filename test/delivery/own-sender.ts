/** A caller's own SMTP sender, in a few lines of node:net and node:tls, without any policy. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type Attempt, type MtaSts, TlsFailureError } from '../../src/index.js'

/** A reply other than success, as SMTP clients report it. */
export class ReplyError extends Error {
  readonly responseCode: number
  readonly command: string

  constructor(command: string, reply: string) {
    super(`${command}: ${reply}`)
    this.command = command
    this.responseCode = Number(reply.slice(0, 3))
  }
}

/** Sends one message to a candidate and resolves to the host's reply. */
export function ownAttempt(sts: MtaSts, to: string): Attempt<string> {
  return async (candidate, context) => {
    const { mxHost, port, security } = candidate
    const [address = ''] = candidate.addresses
    let socket: Socket = await sts.connect({ purpose: 'smtp', host: mxHost, address, port })
    try {
      await replyOf(socket, 'CONN')
      const offered = /\bSTARTTLS\b/.test(await say(socket, 'EHLO own.example'))
      if (offered) {
        await say(socket, 'STARTTLS')
        const secured = connectTls({ ...candidate.tls, socket })
        socket = secured
        await once(secured, 'secureConnect')
        const failure = candidate.verify(secured)
        if (failure && security.level !== 'opportunistic') throw new TlsFailureError(failure)
        if (failure) context.note(failure)
        await say(socket, 'EHLO own.example')
      } else if (security.level !== 'opportunistic') {
        throw new TlsFailureError({ resultType: 'starttls-not-supported', mxHost })
      }
      await say(socket, 'MAIL FROM:<own@sender.example>')
      await say(socket, `RCPT TO:<${to}>`)
      await say(socket, 'DATA')
      return await say(socket, 'Subject: own sender\r\n\r\nHello!\r\n.')
    } finally {
      socket.destroy()
    }
  }
}

async function say(socket: Socket, line: string): Promise<string> {
  socket.write(`${line}\r\n`)
  return replyOf(socket, line.split(/[ :]/, 1)[0] ?? line)
}

async function replyOf(socket: Socket, command: string): Promise<string> {
  let reply = ''
  while (!/^\d{3} .*\r\n$/m.test(reply)) reply += String((await once(socket, 'data'))[0])
  if (!/^[23]/.test(reply)) throw new ReplyError(command, reply)
  return reply
}
