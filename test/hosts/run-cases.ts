/**
 * Plays the cases in one server, in turn, and judges them.
 *
 * @module
 */
import type { MailDomain, MailWorld, MxConnection } from 'mta-sts/testing'
import { until } from '../lab/shell.js'
import { type Change, domainOf, type HostCase, type Outcome } from './cases.js'
import type { HostProcess, Report, Result, SeenSession } from './process.js'

/** A server that accepts messages for a domain. */
export interface MailServer {
  process: HostProcess
  /** Whether its own log says that a message used TLS */
  logsTls: boolean
  /** @param fields set on the server's own object for the delivery */
  submit(domain: string, fields: object): Promise<void>
  stop(): Promise<void>
}

export interface Seen {
  result: Result
  text: string
  tls: boolean | undefined
  /** The MX host in the note for other plugins; Haraka only */
  noted: string | undefined
  /** Connections to MX hosts of the domain, of this message only */
  connections: MxConnection[]
  sessions: SeenSession[]
  /** Messages that arrived, by MX host */
  arrived: Array<{ mx: string; tls: boolean }>
  bounces: number
}

export interface CaseResult {
  case: HostCase
  seen: Seen
  /** Empty: correct */
  wrong: string[]
}

const SENDER = 'sender.example'
const ATTACKER = 'mx.attacker.example'

export class CaseRunner {
  readonly #world: MailWorld
  readonly #server: MailServer
  readonly #isProtected: boolean

  constructor(world: MailWorld, server: MailServer, isProtected: boolean) {
    this.#world = world
    this.#server = server
    this.#isProtected = isProtected
  }

  async run(one: HostCase, expected: Outcome): Promise<CaseResult> {
    const { mode = 'enforce', mx = ['mx1'], names } = one
    const name = domainOf(one)
    const domain = this.#world.domain(name, {
      mx,
      ...(mode === 'absent' ? {} : { mode }),
      ...(names ? { patterns: names.map((label) => `${label}.${name}`) } : {}),
    })
    this.#change(domain, one.first ?? {})
    const fields = fieldsOf(one, domain)
    let seen = await this.#send(domain, { fields })
    const wrong: string[] = []
    if (one.later) {
      const { before = 'delivered' } = one
      if (this.#isProtected && seen.result !== before) {
        wrong.push(`the first message: ${seen.result}, not ${before} (${seen.text})`)
      }
      if (one.idle) await this.#connectionsClose(domain)
      this.#change(domain, one.later)
      // Without the plugin, the first message has already been delivered
      const isRetry = one.retry && this.#isProtected
      seen = await this.#send(domain, {
        fields,
        ...(isRetry ? { retried: expected.result } : {}),
      })
    }
    wrong.push(...judge(seen, expected, name))
    if (this.#isProtected) wrong.push(...judgePlugin(seen, expected, name))
    if (this.#isProtected && this.#server.logsTls) wrong.push(...judgeLog(seen, expected))
    return { case: one, seen, wrong }
  }

  async #connectionsClose(domain: MailDomain): Promise<void> {
    const { connections } = domain.mx()
    await until('pooled connections are closed', () => connections.every(({ closed }) => closed))
  }

  #change(domain: MailDomain, { policy, faults = {}, dns, txt, dane }: Change): void {
    if (policy !== undefined) {
      const own = policy?.patterns?.length === 0 ? { patterns: [domain.mx().name] } : {}
      domain.policy(policy && { ...policy, ...own })
    }
    if (txt === null) {
      domain.record(null)
      domain.policyHost.fails('404')
    }
    if (dns) domain.dns.fails(dns)
    if (dane) {
      const { host, ...options } = dane
      domain.dane({ ...options, ...(host ? { host: domain.mx(host).name } : {}) })
    }
    for (const [label, fault] of Object.entries(faults)) {
      if (fault === null) domain.mx(label).works()
      else domain.mx(label).fails(fault)
    }
  }

  /** @param how `retried`: the expected result of a message that was sent before */
  async #send(
    domain: MailDomain,
    { fields, retried }: { fields: object; retried?: Result },
  ): Promise<Seen> {
    const { reports } = this.#server.process
    const world = this.#world
    const before = {
      reports: reports.length,
      connections: world.connections.length,
      inbox: world.inbox.length,
    }
    const ofDomain = (report: Report) => 'domain' in report && report.domain === domain.name
    if (retried === undefined) await this.#server.submit(domain.name, fields)
    const outcome = await this.#server.process.until(`what becomes of ${domain.name}`, () =>
      reports.slice(before.reports).find((report) => {
        return ofDomain(report) && isOutcome(report) && (retried ?? report.what) === report.what
      }),
    )
    if (!isOutcome(outcome)) throw new Error('no outcome')
    if (outcome.what === 'bounced' && this.#server.process.reports.length > 0) {
      await this.#bounceArrives(before.inbox)
    }
    const connections = world.connections.slice(before.connections)
    const arrived = world.inbox.slice(before.inbox)
    const isBounce = ({ envelope }: { envelope: { to: string[] } }) =>
      envelope.to.some((to) => to.endsWith(`@${SENDER}`))
    return {
      result: outcome.what,
      text: outcome.text,
      noted: outcome.noted,
      tls: outcome.tls ?? loggedTls(reports.slice(before.reports), domain.name),
      connections: connections.filter(({ mx }) => !mx.endsWith(SENDER)),
      sessions: reports
        .slice(before.reports)
        .filter((report) => report.what === 'session' && report.domain === domain.name)
        .map((report) => report as SeenSession),
      arrived: arrived
        .filter((message) => !isBounce(message))
        .map(({ mx, tls }) => ({ mx, tls: tls !== false })),
      bounces: arrived.filter(isBounce).length,
    }
  }

  /**
   * Haraka sends a bounce itself; ZoneMTA's sender leaves it to a process that does not run here.
   */
  async #bounceArrives(inbox: number): Promise<void> {
    const sends = 'sendsBounces' in this.#server && this.#server.sendsBounces
    if (!sends) return
    await until('the bounce arrives', () => this.#world.inbox.length > inbox)
  }
}

/** Returns the fields that another plugin would have set on ZoneMTA's delivery. */
function fieldsOf({ delivery }: HostCase, domain: MailDomain): object {
  const { name, ipv4 } = domain.mx()
  const mx = [{ exchange: name, priority: 0, A: [ipv4], AAAA: [] }]
  return { ...delivery, ...(delivery?.mx ? { mx } : {}) }
}

function isOutcome(report: Report): report is Extract<Report, { text: string }> {
  return ['delivered', 'deferred', 'bounced'].includes(report.what)
}

function loggedTls(reports: readonly Report[], domain: string): boolean | undefined {
  const logged = reports.find((report) => report.what === 'logged' && report.domain === domain)
  return logged?.what === 'logged' ? logged.tls : undefined
}

/** Judges outcome, receiver and transport security: with the plugin and without. */
function judge(seen: Seen, expected: Outcome, domain: string): string[] {
  const wrong: string[] = []
  if (expected.orDeferred && seen.result === 'deferred') return wrong
  if (seen.result !== expected.result) {
    wrong.push(`${seen.result}, not ${expected.result} (${seen.text})`)
    return wrong
  }
  if (expected.result !== 'delivered') {
    if (seen.arrived.length > 0) wrong.push('the message arrived all the same')
    return wrong
  }
  const to = fullName(expected.to ?? '', domain)
  const tls = expected.tls ?? true
  const [message, ...more] = seen.arrived
  if (!message || more.length > 0) wrong.push(`${seen.arrived.length} messages arrived`)
  else if (message.mx !== to) wrong.push(`${message.mx} took the message, not ${to}`)
  else if (message.tls !== tls) wrong.push(message.tls ? 'over TLS' : 'in plaintext')
  return wrong
}

/** Judges the promises that only the plugin makes. */
function judgePlugin(seen: Seen, expected: Outcome, domain: string): string[] {
  const wrong: string[] = []
  const to = expected.to && fullName(expected.to, domain)
  for (const { mx, mailFrom } of seen.connections) {
    const mayHear = expected.afterMail || mx === to
    if (mailFrom !== undefined && !mayHear) wrong.push(`${mx} saw MAIL FROM`)
  }
  if (expected.dialled === false && seen.connections.length > 0) {
    wrong.push(`${seen.connections.map(({ mx }) => mx).join()} was connected to`)
  }
  if (expected.sessions) {
    const wanted = expected.sessions.map((text) => {
      const [label = '', failure = ''] = text.split(/: (.*)/)
      return `${fullName(label, domain)}: ${failure}`
    })
    const found = seen.sessions.map(({ mxHost, failure = 'ok' }) => `${mxHost}: ${failure}`)
    if (wanted.join('; ') !== found.join('; ')) {
      wrong.push(`sessions [${found.join('; ')}], not [${wanted.join('; ')}]`)
    }
    if (expected.result === 'deferred') {
      const failures = wanted.filter((text) => !text.endsWith(': ok'))
      for (const text of failures) {
        const [host = '', failure = ''] = text.split(/: (.*)/)
        const [type = ''] = failure.split(' ')
        if (!seen.text.includes(host) || !seen.text.includes(type)) {
          wrong.push(`the text does not say ${text}: ${seen.text}`)
        }
      }
    }
  }
  const [message] = seen.arrived
  if (seen.noted !== undefined && seen.noted !== message?.mx) {
    wrong.push(`the note names ${seen.noted}`)
  }
  if (expected.says && !seen.text.includes(expected.says)) {
    wrong.push(`the text does not say ${expected.says}: ${seen.text}`)
  }
  if (expected.result !== 'bounced' && seen.bounces > 0) wrong.push('a bounce was sent')
  return wrong
}

/** Judges the server's own log of a delivered message. */
function judgeLog(seen: Seen, { result, tls = true }: Outcome): string[] {
  if (result !== 'delivered' || seen.tls === tls) return []
  return [`the server itself logs tls: ${seen.tls}`]
}

function fullName(label: string, domain: string): string {
  return label.includes('.') ? label : `${label}.${domain}`
}

export { ATTACKER, SENDER }
