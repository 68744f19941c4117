/**
 * A sender of your own on the core alone: `MtaSts.deliver` names one MX host after the other,
 * `context.open()` connects and makes it prove what it must, `connection.send()` sends.
 *
 *     npx tsx examples/own-sender.ts
 */
import { MtaSts } from 'mta-sts'
import { createMailWorld } from 'mta-sts/testing'

const world = await createMailWorld()
const bob = world.domain('bob.example', { mode: 'enforce', mx: ['mx1', 'mx2'] })
const sts = new MtaSts(world.options())

/** Sends one message to one domain. It resolves to the host that took it, and its reply. */
function send(domain: string, to: string, message: string): Promise<string> {
  const envelope = { from: 'me@sender.example', to: [to] }
  return sts.deliver(domain, async (candidate, context) => {
    const connection = await context.open({ name: 'mail.sender.example' })
    try {
      const { response } = await connection.send(envelope, message)
      return `${candidate.mxHost} took it, and had proved ${connection.proved}: ${response}`
    } finally {
      await connection.quit()
    }
  })
}

const message = 'Subject: Hello\r\n\r\nHello, Bob!\r\n'
console.log(await send('bob.example', 'bob@bob.example', message))

bob.mx('mx1').fails('expired')
console.log(await send('bob.example', 'bob@bob.example', message))

bob.mx('mx2').fails('no-starttls')
await send('bob.example', 'bob@bob.example', message).catch((error: Error) => {
  console.log(error.message)
})

console.log(`${bob.inbox.length} messages arrived`)
await sts.close()
await world.close()
