/**
 * Servers stop during a stream of messages, and return. The stream goes on, and temporary failures
 * are sent again, as by a queue behind a sender. At the end, every accepted message is in a
 * mailbox, and no protected message was seen by a host without a proof.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type CaseResult, endedSessions } from './cases.js'
import type { Lab } from './lab.js'
import type { PlacedDomain } from './placement.js'
import type { Sender, SendReply } from './sender.js'
import { until } from './shell.js'
import { enforce, exim, type LabDomain, postfix, proved, refused } from './vocabulary.js'

/** The last one never proves itself; it accepts mail from senders without a demand for proof. */
export const outageDomains: LabDomain[] = [
  { name: 'outage-a', policy: enforce('mx'), mx: [postfix('mx')], expected: proved('mx') },
  { name: 'outage-b', policy: enforce('mx'), mx: [exim('mx')], expected: proved('mx') },
  {
    name: 'outage-c',
    policy: enforce('*'),
    mx: [postfix('mx1'), exim('mx2')],
    expected: proved('mx1'),
  },
  {
    name: 'outage-bad',
    policy: enforce('mx'),
    mx: [postfix('mx', { tls: 'none' })],
    expected: refused('mx: starttls-not-supported (not-offered)'),
  },
]

/** Number of messages under way at the same time. */
const WORKERS = 4
/** Pause between two messages of one worker, in milliseconds. */
const PACE = 10
/** Number of messages with an outcome before the scenario goes on. */
const ENOUGH = { delivered: 30, refused: 10, failed: 10 }

export async function runOutages(lab: Lab, tell: (what: string) => void): Promise<CaseResult[]> {
  const domains = lab.domains.filter(({ spec }) => outageDomains.includes(spec))
  const bad = domains.filter(({ spec }) => spec.expected.status === 'refused')
  const good = domains.filter((domain) => !bad.includes(domain))
  const sender = lab.sender()
  const stream = new Stream(sender, domains)
  const checks: CaseResult[] = []
  const check = async (name: string, expected: string, play: () => Promise<string[]>) => {
    tell(`${name}: ${expected}`)
    const wrong = await play().catch((error: Error) => [error.message])
    const got = wrong.length === 0 ? expected : 'it is not so'
    checks.push({ name, expected: [expected], got: [got], log: [], wrong })
  }

  stream.start()
  await check('outage-before', 'all is delivered', async () => {
    await stream.sees('delivered')
    await stream.sees('refused')
    return stream.complaints()
  })
  await check('outage-resolver', 'no mail without proof', async () => {
    await lab.unbound.stop()
    await stream.sees('failed')
    await lab.unbound.start()
    await stream.sees('delivered')
    await stream.sees('refused')
    return stream.complaints()
  })
  await check('outage-policy-hosts', 'cached policies apply', async () => {
    await lab.nginx.stop()
    // The id announces a new policy, which cannot be fetched
    for (const domain of domains) {
      await lab.bind.changeTxt(domain, 'v=STSv1; id=2;')
      await lab.unbound.flush(domain.name)
    }
    await stream.sees('delivered')
    await stream.sees('refused')
    await lab.nginx.start()
    return stream.complaints()
  })
  await check('outage-postfix', 'nothing is bounced', async () => {
    await lab.postfix.abort()
    await stream.sees('failed')
    await lab.postfix.start()
    await stream.sees('delivered')
    await stream.sees('refused')
    return stream.complaints()
  })
  await stream.stop()
  await check('outage-queue', 'what had failed is delivered', async () => {
    await stream.again(good)
    const left = stream.left().filter(({ domain }) => good.includes(domain))
    return left.map(({ messageId }) => `${messageId} could not be delivered`)
  })
  await check('outage-end', 'the sender ends by itself', async () => {
    await sender.end()
    return []
  })
  await check('outage-accepted', 'is in a mailbox, over TLS', () => lost(lab, stream))
  await check('outage-downgrade', 'no MAIL without proof', () => downgrades(lab, { good, bad }))
  return checks
}

interface StreamMessage {
  messageId: string
  domain: PlacedDomain
  outcome: 'delivered' | 'refused' | 'failed'
}

/** Sends messages to all domains in turn, and records the outcomes. */
class Stream {
  readonly #sender: Sender
  readonly #domains: readonly PlacedDomain[]
  readonly #messages: StreamMessage[] = []
  readonly #complaints: string[] = []
  #workers: Promise<void>[] = []
  #count = 0
  #stopped = false

  constructor(sender: Sender, domains: readonly PlacedDomain[]) {
    this.#sender = sender
    this.#domains = domains
  }

  start(): void {
    this.#workers = Array.from({ length: WORKERS }, () => this.#work())
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#workers)
  }

  /** Waits until enough messages that are sent from now on have this outcome. */
  async sees(outcome: StreamMessage['outcome']): Promise<void> {
    const begun = this.#messages.length
    const enough = ENOUGH[outcome]
    await until(`${enough} messages are ${outcome}`, () => {
      const since = this.#messages.slice(begun)
      return since.filter((message) => message.outcome === outcome).length >= enough
    })
  }

  /** Returns the faults since the last call. */
  complaints(): string[] {
    return this.#complaints.splice(0)
  }

  delivered(): StreamMessage[] {
    return this.#messages.filter(({ outcome }) => outcome === 'delivered')
  }

  left(): StreamMessage[] {
    return this.#messages.filter(({ outcome }) => outcome !== 'delivered')
  }

  /** Sends undelivered messages to these domains again. */
  async again(domains: readonly PlacedDomain[]): Promise<void> {
    const left = this.left().filter(({ domain }) => domains.includes(domain))
    for (const message of left) message.outcome = await this.#send(message)
  }

  async #work(): Promise<void> {
    while (!this.#stopped) {
      const number = this.#count++
      const domain = this.#domains[number % this.#domains.length]
      if (!domain) return
      const messageId = `stream-${number}@sender.example`
      const outcome = await this.#send({ messageId, domain })
      this.#messages.push({ messageId, domain, outcome })
      await delay(PACE)
    }
  }

  async #send({
    messageId,
    domain,
  }: Omit<StreamMessage, 'outcome'>): Promise<StreamMessage['outcome']> {
    const reply = await this.#sender.send({
      message: {
        from: 'me@sender.example',
        to: domain.recipient,
        subject: 'One of many',
        text: 'Hello!',
        messageId: `<${messageId}>`,
      },
    })
    this.#complaints.push(...complaintsAbout(reply, domain).map((what) => `${messageId} ${what}`))
    return reply.deliveries[0]?.status ?? 'failed'
  }
}

/**
 * Checks that a protected message is sent with proof or not at all, and never fails permanently.
 */
function complaintsAbout({ deliveries, error }: SendReply, { name, spec }: PlacedDomain): string[] {
  const [delivery] = deliveries
  if (error) {
    return error.permanent === true ? [`was bounced by ${name}: ${error.text}`] : []
  }
  if (spec.expected.status === 'refused') return [`went to ${name}`]
  return delivery?.proved === 'sts' ? [] : [`went to ${name} without proof`]
}

async function lost(lab: Lab, stream: Stream): Promise<string[]> {
  const mailboxes = new Set(stream.delivered().map(({ domain }) => domain.mailbox))
  const missing = async () => {
    const mail = (await Promise.all([...mailboxes].map((name) => lab.mail.read(name)))).flat()
    const there = new Set(mail.filter(({ over }) => over === 'TLS').map((one) => one.messageId))
    return stream.delivered().filter(({ messageId }) => !there.has(messageId))
  }
  await until('all mail is there', async () => (await missing()).length === 0).catch(() => 'not')
  return (await missing()).map(({ messageId }) => `${messageId} was accepted and is not there`)
}

/** Checks the MX hosts' own logs. */
async function downgrades(
  lab: Lab,
  { good, bad }: Record<'good' | 'bad', readonly PlacedDomain[]>,
): Promise<string[]> {
  const namesOf = (domains: readonly PlacedDomain[]) =>
    domains.flatMap(({ hosts }) => hosts.map(({ name }) => name))
  const wrong: string[] = []
  for (const { host, mail, tls } of await endedSessions(lab)) {
    if (!mail) continue
    if (namesOf(bad).includes(host)) wrong.push(`${host} saw a MAIL FROM`)
    if (namesOf(good).includes(host) && tls === undefined) wrong.push(`${host} took plaintext`)
  }
  return wrong
}
