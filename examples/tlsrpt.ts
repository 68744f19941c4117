/**
 * A sender that reports: a day of mail to four domains of a mail world, one of which strips
 * STARTTLS and one of which shows a certificate that has expired; and on the day after it the
 * reports, as they arrive at the domains that asked for them.
 *
 *     npx tsx examples/tlsrpt.ts
 *
 * In a program of your own the world is the Internet, the store outlives the process, the reports
 * go out by themselves, and there is nothing left of this but `new TlsReporter(...)`.
 */
import { generateKeyPairSync } from 'node:crypto'
import { mtaStsTransport } from 'mta-sts/nodemailer'
import { createMailWorld, type MailWorld } from 'mta-sts/testing'
// In a program of your own: from 'mta-sts/tlsrpt'
import { memoryReportStore, parseReport, TlsReporter } from 'mta-sts/tlsrpt'
import nodemailer, { type Transporter } from 'nodemailer'

const DOMAINS = ['good.example', 'stripped.example', 'expired.example', 'silent.example']

function setUp(world: MailWorld): void {
  for (const name of DOMAINS) {
    const domain = world.domain(name, { mode: 'testing' })
    if (name === 'stripped.example') domain.mx().fails('no-starttls')
    if (name === 'expired.example') domain.mx().fails('expired')
    // The record that asks for reports; the last domain does not
    if (name === 'silent.example') continue
    world.dns.set(`_smtp._tls.${name}`, 'TXT', [`v=TLSRPTv1; rua=mailto:tls-reports@${name}`])
  }
}

async function aDayOfMail(transporter: Transporter): Promise<void> {
  for (const name of DOMAINS) {
    await transporter.sendMail({ from: 'me@sender.example', to: `you@${name}`, text: 'Hello!' })
  }
}

/** What the domains can read in their reports. */
function print(world: MailWorld): string[] {
  return world.inbox.map(({ envelope, bytes }) => {
    const { organizationName, dateRange, policies } = parseReport(bytes)
    const lines = policies.map(
      ({ policyType, totalSuccessfulSessionCount, totalFailureSessionCount, failureDetails }) => {
        const failures = failureDetails.map(
          ({ resultType, receivingMxHostname }) => `, ${resultType} at ${receivingMxHostname}`,
        )
        return `  ${policyType}: ${totalSuccessfulSessionCount} good, ${totalFailureSessionCount} failed${failures.join('')}`
      },
    )
    const day = dateRange.start.toISOString().slice(0, 10)
    console.log(`${envelope.to.join()}: ${organizationName} reports about ${day}`)
    console.log(lines.join('\n'))
    return lines.join().trim()
  })
}

const EXPECTED = [
  'sts: 0 good, 1 failed, certificate-expired at mx.expired.example',
  'sts: 0 good, 1 failed, starttls-not-supported at mx.stripped.example',
  'sts: 1 good, 0 failed',
]

async function main(): Promise<number> {
  await using world = await createMailWorld()
  setUp(world)
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const transporter = nodemailer.createTransport(mtaStsTransport(world.options()))
  await using reporter = new TlsReporter({
    ...world.options(),
    organizationName: 'Sender Ltd',
    contactInfo: 'postmaster@sender.example',
    submitter: 'sender.example',
    store: memoryReportStore(),
    transporter,
    dkim: { domainName: 'sender.example', keySelector: 'reports', privateKey },
  })

  await aDayOfMail(transporter)
  world.forget()
  world.clock.advance({ days: 1, minutes: 10 })
  // By itself it would take its time, to spread the reports over some hours
  const summary = await reporter.sendReports()

  const seen = print(world).sort()
  transporter.close()
  const asExpected = JSON.stringify(seen) === JSON.stringify(EXPECTED)
  console.log(`${summary.sent} sent, ${summary.unwanted} not asked for`)
  if (!asExpected) console.error('These are not the reports that there should be')
  return asExpected && summary.sent === 3 && summary.unwanted === 1 ? 0 : 1
}

process.exitCode = await main()
