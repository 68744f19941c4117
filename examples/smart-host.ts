/**
 * Mail by way of a smart host that wants a login and has an MTA-STS policy of its own. It takes a
 * message. Then somebody stands in its place, first without TLS and later with a certificate that
 * has expired; and hears neither the password nor a word of the message.
 *
 *     npx tsx examples/smart-host.ts
 */
import { DeliveryRefusedError } from 'mta-sts'
import { withMtaSts } from 'mta-sts/nodemailer'
import { createMailWorld, type MxConnection } from 'mta-sts/testing'
import nodemailer from 'nodemailer'

const HOST = 'smtp.provider.example'
const auth = { user: 'me', pass: 'correct horse battery staple' }
const message = { from: 'me@sender.example', to: 'you@bob.example', subject: 'Hi', text: 'Hello!' }

/** All that was said to a host. */
function heard(connections: readonly MxConnection[]): string[] {
  const lines = connections.flatMap((connection) => connection.lines)
  return lines.flatMap(({ from, text }) => (from === 'client' ? [text] : []))
}

async function main(): Promise<number> {
  await using world = await createMailWorld()
  const provider = world.smartHost(HOST, { auth })
  // The policy is that of the smart host's name; those of the recipients are for it to see to
  world.domain(HOST, { mode: 'enforce', mx: [] })

  // In a program of your own neither `tls` nor the second argument is there
  const name = 'sender.example'
  const smartHost = { host: HOST, port: 587, auth, name, tls: { ca: world.ca } }
  const transporter = nodemailer.createTransport(withMtaSts(smartHost, world.options()))

  const { response } = await transporter.sendMail(message)
  console.log(`${HOST} has it, after the login: ${response}`)

  let leaks = 0
  for (const fault of ['no-starttls', 'expired'] as const) {
    provider.fails(fault)
    world.forget()
    try {
      await transporter.sendMail(message)
      console.error(`Not as it should be: ${HOST} with ${fault} got the message`)
      leaks++
    } catch (error) {
      if (!(error instanceof DeliveryRefusedError)) throw error
      // Temporary: the program keeps the message, and tries again later
      console.log(error.message)
    }
    const lines = heard(provider.connections)
    console.log(`  it heard: ${lines.join(', ')}`)
    leaks += lines.filter((line) => !/^(EHLO sender\.example|STARTTLS|QUIT)$/.test(line)).length
  }

  provider.works()
  await transporter.sendMail(message)
  transporter.close()
  console.log(`Put right, it has that too; ${leaks} words to anybody else`)
  return leaks === 0 && provider.inbox.length === 1 ? 0 : 1
}

process.exitCode = await main()
