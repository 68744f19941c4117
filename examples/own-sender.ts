/**
 * The core alone, under a hand-written SMTP session: `MtaSts.deliver` says which host comes next
 * and what it must prove; the thirty lines of SMTP below know nothing of policies.
 *
 *     npx tsx examples/own-sender.ts
 */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { connect as connectTls } from 'node:tls'
import { type Candidate, MtaSts, TlsFailureError } from 'mta-sts'
import { createMailWorld } from 'mta-sts/testing'

/** Says commands on a connection, one by one, and waits for the reply to each. */
function talkOn(socket: Socket) {
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  return async (command: string | undefined, expected: number): Promise<string> => {
    if (command !== undefined) socket.write(`${command}\r\n`)
    let reply = ''
    for (;;) {
      const { value, done } = await lines.next()
      if (done) throw new Error('The connection was closed')
      reply += `${value}\n`
      if (/^\d{3}(?!-)/.test(value)) break
    }
    const responseCode = Number(reply.slice(0, 3))
    if (responseCode === expected) return reply
    throw Object.assign(new Error(`${command ?? 'Greeting'}: ${reply}`), { responseCode })
  }
}

/** One attempt: everything up to STARTTLS, the verdict, and only then the message. */
async function attempt(candidate: Candidate, sts: MtaSts): Promise<string> {
  const { mxHost: host, addresses, port, security, tls, verify } = candidate
  const [address] = addresses
  if (address === undefined) throw new Error(`${host} has no address`)
  const plain = await sts.connect({ purpose: 'smtp', host, address, port })
  let say = talkOn(plain)
  await say(undefined, 220)
  const offered = /STARTTLS/i.test(await say('EHLO sender.example', 250))
  let socket: Socket = plain
  if (offered) {
    await say('STARTTLS', 220)
    const secured = connectTls({ ...tls, socket: plain })
    await once(secured, 'secureConnect')
    const failure = verify(secured)
    if (failure && security.level === 'authenticated') throw new TlsFailureError(failure)
    socket = secured
    say = talkOn(socket)
    await say('EHLO sender.example', 250)
  } else if (security.level !== 'opportunistic') {
    throw new TlsFailureError({ resultType: 'starttls-not-supported', mxHost: host })
  }
  await say('MAIL FROM:<me@sender.example>', 250)
  await say('RCPT TO:<bob@bob.example>', 250)
  await say('DATA', 354)
  const reply = await say('Subject: Hello\r\n\r\nHello, Bob!\r\n.', 250)
  socket.end('QUIT\r\n')
  return reply
}

const world = await createMailWorld()
const bob = world.domain('bob.example', { mode: 'enforce', mx: ['mx1', 'mx2'] })
const sts = new MtaSts(world.options())

console.log(await sts.deliver('bob.example', (candidate) => attempt(candidate, sts)))

bob.mx('mx1').fails('expired')
bob.mx('mx2').fails('no-starttls')
await sts
  .deliver('bob.example', (candidate) => attempt(candidate, sts))
  .catch((error: Error) => console.log(error.message))

console.log(`${bob.inbox.length} message arrived`)
await sts.close()
await world.close()
