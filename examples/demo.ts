/**
 * The product doing its job: a mail world on loopback with an authority of its own, a DNS server,
 * an HTTPS policy host and SMTP servers, and one message to each of its domains. Ends with status
 * 0 only if each was delivered or refused as it should, and no server saw what it should not.
 *
 *     npm run demo
 */
import { styleText } from 'node:util'
import { DeliveryRefusedError } from 'mta-sts'
import { type DomainDelivery, mtaStsTransport, type SentInfo } from 'mta-sts/nodemailer'
import { createMailWorld, type MailDomain, type MailWorld } from 'mta-sts/testing'
import nodemailer, { type Transporter } from 'nodemailer'

interface Scene {
  domain: MailDomain
  /** `delivered` to this MX host, or `refused`; and the failure that is met on the way */
  expected: { status: 'delivered' | 'refused'; mxHost?: string; failure?: string }
}

/** One domain for each way in which a delivery can go. */
function setUp(world: MailWorld): Scene[] {
  const scenes: Scene[] = []
  const enforced = (name: string, expected: Scene['expected'], mx?: string[]) => {
    const domain = world.domain(`${name}.example`, { mode: 'enforce', ...(mx ? { mx } : {}) })
    scenes.push({ domain, expected })
    return domain
  }
  const refused = (failure: string) => ({ status: 'refused', failure }) as const

  enforced('valid', { status: 'delivered', mxHost: 'mx.valid.example' })
  enforced('stripped', refused('starttls-not-supported (not-offered)')).mx().fails('no-starttls')
  enforced('no-tls-now', refused('starttls-not-supported (refused)')).mx().fails('starttls-454')
  enforced('wrong-name', refused('certificate-host-mismatch')).mx().fails('wrong-name')
  enforced('cn-only', refused('certificate-host-mismatch')).mx().fails('cn-only')
  enforced('self-signed', refused('certificate-not-trusted (self-signed)'))
    .mx()
    .fails('self-signed')
  enforced('expired', refused('certificate-expired')).mx().fails('expired')
  enforced('spoofed', refused('validation-failure (mx-mismatch)')).dns.fails('spoofed-mx')

  const second = { status: 'delivered', mxHost: 'mx2.second.example' } as const
  enforced('second', { ...second, failure: 'certificate-expired' }, ['mx1', 'mx2'])
    .mx()
    .fails('expired')

  const testing = world.domain('testing.example', { mode: 'testing' })
  testing.mx().fails('wrong-name')
  scenes.push({
    domain: testing,
    expected: {
      status: 'delivered',
      mxHost: 'mx.testing.example',
      failure: 'certificate-host-mismatch',
    },
  })
  const plain = world.domain('no-policy.example')
  scenes.push({ domain: plain, expected: { status: 'delivered', mxHost: 'mx.no-policy.example' } })
  return scenes
}

async function send(transporter: Transporter<SentInfo>, domain: string): Promise<DomainDelivery> {
  const message = { from: 'me@sender.example', to: `you@${domain}`, subject: 'Hi', text: 'Hello!' }
  try {
    const { deliveries } = await transporter.sendMail(message)
    return only(deliveries)
  } catch (error) {
    if (!(error instanceof DeliveryRefusedError) || !('deliveries' in error)) throw error
    return only(error.deliveries as DomainDelivery[])
  }
}

function only<T>(list: readonly T[]): T {
  const [first] = list
  if (first === undefined || list.length > 1) throw new Error('There should be exactly one')
  return first
}

/** What is not as it should be; nothing, when all is well. */
function judge({ domain, expected }: Scene, delivery: DomainDelivery): string[] {
  const wrong: string[] = []
  const failures = delivery.failures.map(describe)
  if (delivery.status !== expected.status) wrong.push(`it was ${delivery.status}`)
  if (expected.mxHost && delivery.mxHost !== expected.mxHost) wrong.push(`by ${delivery.mxHost}`)
  if (failures.join() !== (expected.failure ?? '')) wrong.push(`because of: ${failures.join()}`)
  const arrived = domain.inbox.length
  if (arrived !== (expected.status === 'delivered' ? 1 : 0)) wrong.push(`${arrived} arrived`)
  return wrong
}

/** Connections that carried a MAIL FROM, of MX hosts that should have seen none. */
function leaks(world: MailWorld, scenes: readonly Scene[]): string[] {
  const allowed = new Set(scenes.map(({ expected }) => expected.mxHost))
  return world.connections
    .filter((connection) => connection.mailFrom && !allowed.has(connection.mx))
    .map(({ mx }) => `${mx} saw MAIL FROM`)
}

function describe({ resultType, reason }: { resultType: string; reason?: string }): string {
  return reason === undefined ? resultType : `${resultType} (${reason})`
}

function row(cells: readonly string[]): string {
  const widths = [20, 8, 21, 8, 10]
  return cells
    .map((cell, i) => cell.padEnd(widths[i] ?? 0))
    .join(' ')
    .trimEnd()
}

async function main(): Promise<number> {
  await using world = await createMailWorld()
  const scenes = setUp(world)
  const transporter = nodemailer.createTransport(mtaStsTransport(world.options()))
  console.log(styleText('bold', row(['Domain', 'Mode', 'MX host', 'TLS', 'Outcome'])))
  const wrong: string[] = []
  for (const scene of scenes) {
    const delivery = await send(transporter, scene.domain.name)
    const { mode, mxHost = '-', tls, status, failures } = delivery
    const colour = status === 'delivered' ? 'green' : 'yellow'
    const version = tls ? tls.version : '-'
    console.log(row([scene.domain.name, mode, mxHost, version, styleText(colour, status)]))
    for (const failure of failures) console.log(`  ${failure.mxHost}: ${describe(failure)}`)
    wrong.push(...judge(scene, delivery).map((what) => `${scene.domain.name}: ${what}`))
  }
  wrong.push(...leaks(world, scenes))
  transporter.close()
  for (const what of wrong) console.error(styleText('red', `Not as it should be: ${what}`))
  if (wrong.length === 0) console.log(`\nAll ${scenes.length} as they should be; nothing leaked.`)
  return wrong.length === 0 ? 0 : 1
}

process.exitCode = await main()
