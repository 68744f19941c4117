/** Two senders that report to each other stop when there is nothing else to report. */
import nodemailer, { type Transporter } from 'nodemailer'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { mtaStsTransport, type SentInfo } from '../../src/nodemailer/index.js'
import { createMailWorld, type MailWorld } from '../../src/testing/index.js'
import { memoryReportStore, parseReport, TlsReporter } from '../../src/tlsrpt/index.js'
import { DAY, DKIM, TODAY_NOON } from './support.js'

const clock = { time: TODAY_NOON }
const names = ['alice.example', 'bob.example']
const senders: Array<{ transporter: Transporter<SentInfo>; reporter: TlsReporter }> = []
let world: MailWorld

beforeAll(async () => {
  world = await createMailWorld()
  for (const name of names) {
    world.domain(name, { mode: 'enforce' })
    world.dns.set(`_smtp._tls.${name}`, 'TXT', [`v=TLSRPTv1; rua=mailto:tls@${name}`])
    const options = {
      ...world.options(),
      name: `mail.${name}`,
      now: () => clock.time,
    }
    // Each report on a separate connection, which would be a session to be reported
    const transport = mtaStsTransport({ ...options, maxMessages: 1 })
    const transporter = nodemailer.createTransport(transport)
    const reporter = new TlsReporter({
      ...options,
      organizationName: name,
      contactInfo: `postmaster@${name}`,
      submitter: name,
      store: memoryReportStore(),
      transporter,
      dkim: { ...DKIM, domainName: name },
      sending: 'manual',
    })
    senders.push({ transporter, reporter })
  }
})

afterAll(async () => {
  for (const { transporter, reporter } of senders) {
    await reporter.close()
    transporter.close()
  }
  await world.close()
})

it('[RPT-10] reports cause no further reports the next day', async () => {
  const [alice, bob] = senders
  const message = { subject: 'Hi', text: 'Hello' }
  await alice?.transporter.sendMail({ ...message, from: 'a@alice.example', to: 'b@bob.example' })
  await bob?.transporter.sendMail({ ...message, from: 'b@bob.example', to: 'a@alice.example' })
  const mails: string[][] = []
  const connections: number[] = []
  for (let day = 0; day < 5; day++) {
    clock.time += DAY
    world.forget()
    for (const { reporter } of senders) await reporter.sendReports()
    connections.push(world.connections.length)
    mails.push(
      world.inbox.map(({ bytes }) => {
        const { organizationName, policies } = parseReport(bytes)
        return `${organizationName} to ${policies[0]?.policyDomain}`
      }),
    )
  }
  // Both are in this process, so each has counted both sessions
  expect(mails[0]?.sort()).toEqual([
    'alice.example to alice.example',
    'alice.example to bob.example',
    'bob.example to alice.example',
    'bob.example to bob.example',
  ])
  expect(mails.slice(1)).toEqual([[], [], [], []])
  expect(connections).toEqual([4, 0, 0, 0, 0])
})
