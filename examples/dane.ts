/**
 * DANE: messages to domains of a mail world that sign their DNS. No public authority knows their
 * certificates; TLSA records do.
 *
 *     npx tsx examples/dane.ts
 *
 * In a program of your own `dane: dane()` is all: it asks the validating resolver of the machine.
 */
import { dane, dnssecResolver } from 'mta-sts/dane'
import { mtaStsTransport } from 'mta-sts/nodemailer'
import { createMailWorld, type DaneOptions, type MailWorld } from 'mta-sts/testing'
import nodemailer from 'nodemailer'

/** What the TLSA records of each domain are like. */
const DOMAINS: Readonly<Record<string, DaneOptions | null>> = {
  'good.example': {},
  'rollover.example': { records: [{ of: 'other' }, { of: 'host' }] },
  'forgotten.example': { fails: 'old-key' },
  'tampered.example': { fails: 'bogus-tlsa' },
  'unsigned.example': null,
}

function setUp(world: MailWorld): void {
  for (const [name, options] of Object.entries(DOMAINS)) {
    const domain = world.domain(name)
    const mx = domain.mx()
    mx.certificate({ san: [`DNS:${mx.name}`], signedBy: 'stranger' })
    domain.dane(options)
  }
}

function senderIn(world: MailWorld) {
  const { resolver: _, ...options } = world.options()
  const resolver = dnssecResolver({ servers: [world.dns.server] })
  return nodemailer.createTransport(mtaStsTransport({ ...options, dane: dane({ resolver }) }))
}

async function outcome(transporter: ReturnType<typeof senderIn>, domain: string): Promise<string> {
  try {
    const message = { from: 'me@sender.example', to: `you@${domain}`, text: 'Hello!' }
    const { deliveries } = await transporter.sendMail(message)
    return `delivered, proved: ${deliveries[0]?.proved}`
  } catch (error) {
    const { failures = [] } = error as { failures?: Array<{ resultType: string; reason?: string }> }
    const why = failures.map(({ resultType, reason }) => `${resultType} (${reason})`)
    return `refused for now: ${why.join(', ')}`
  }
}

await using world = await createMailWorld()
setUp(world)
const transporter = senderIn(world)
for (const domain of Object.keys(DOMAINS)) {
  console.log(`${domain.padEnd(18)} ${await outcome(transporter, domain)}`)
}
transporter.close()
console.log(`${world.inbox.length} messages arrived`)
