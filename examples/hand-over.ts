/**
 * Another SMTP client on a connection that has proved what it must: `context.open()` goes as far as
 * EHLO inside TLS, `handOver()` gives the socket to Nodemailer's `SMTPConnection`.
 *
 *     npx tsx examples/hand-over.ts
 */
import { promisify } from 'node:util'
import { MtaSts } from 'mta-sts'
import { createMailWorld } from 'mta-sts/testing'
import SMTPConnection from 'nodemailer/lib/smtp-connection/index.js'

const world = await createMailWorld()
const bob = world.domain('bob.example', { mode: 'enforce', mx: ['mx1', 'mx2'] })
const sts = new MtaSts(world.options())

/** Sends one message to one domain by Nodemailer. It resolves to the reply to the message. */
function send(domain: string, to: string, message: string): Promise<string> {
  return sts.deliver(domain, async (_, context) => {
    const proved = await context.open({ name: 'mail.sender.example' })
    const client = new SMTPConnection({
      connection: proved.handOver(),
      // TLS is up already: the client must not begin it again
      secure: true,
      secured: true,
      ignoreTLS: true,
      name: 'mail.sender.example',
    })
    try {
      await new Promise<void>((resolve, reject) => {
        client.once('error', reject)
        client.connect((error?: Error) => (error ? reject(error) : resolve()))
      })
      // The client waited for replies: the policy may have changed since. `deliver` then plans anew
      context.assertCurrent()
      const envelope = { from: 'me@sender.example', to: [to] }
      const { response } = await promisify(client.send.bind(client))(envelope, message)
      return response
    } finally {
      client.quit()
    }
  })
}

bob.mx('mx1').fails('wrong-name')
console.log(await send('bob.example', 'bob@bob.example', 'Subject: Hello\r\n\r\nHello, Bob!\r\n'))

for (const { mx, mailFrom } of world.connections) {
  console.log(`${mx}: MAIL FROM: ${mailFrom ?? 'never said'}`)
}

bob.mx('mx2').fails('expired')
await send('bob.example', 'bob@bob.example', 'Subject: Hello\r\n\r\nAgain\r\n').catch((error) => {
  console.log(error.message)
})

console.log(`${bob.inbox.length} message arrived`)
await sts.close()
await world.close()
