/**
 * Plays the table: a message to every domain, the changes in between, then a second message to
 * every domain; all by one sender.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { CheckReport } from '../../src/cli/check/findings.js'
import { judgeMessage, judgeRequests, judgeSessions, outcomeOf, type Sent } from './judge.js'
import { judgeCheck } from './judge-check.js'
import type { Lab } from './lab.js'
import type { MxSession } from './mx-log.js'
import type { PlacedDomain } from './placement.js'
import type { Sender } from './sender.js'
import { until } from './shell.js'
import { abbreviateOutcome } from './vocabulary.js'

export interface CaseResult {
  name: string
  /** Of the first message and of the second */
  expected: string[]
  got: string[]
  /** Lines from the logs of the MX hosts */
  log: string[]
  wrong: string[]
}

export async function runCases(
  lab: Lab,
  domains: readonly PlacedDomain[],
  tell: (what: string) => void,
): Promise<CaseResult[]> {
  const sender = lab.sender(STORE)
  const sent = new Map<PlacedDomain, Sent[]>()
  const checked: Array<Map<string, CheckReport>> = []
  const askedByCheck = new Map<string, number>()
  for (const round of [1, 2]) {
    if (round === 2) await change(lab, domains)
    // It can judge the second message only if it sees the sender's cache
    if (round === 1 || STORE !== undefined) {
      tell(`check --connect of ${domains.length} domains`)
      const before = await lab.nginx.requests()
      const names = domains.map(({ name }) => name)
      checked.push(await lab.check(names, round === 1 ? undefined : STORE))
      for (const [host, count] of await lab.nginx.requests()) {
        const asked = count - (before.get(host) ?? 0)
        askedByCheck.set(host, (askedByCheck.get(host) ?? 0) + asked)
      }
    }
    tell(`Message ${round} to each of ${domains.length} domains`)
    await atOnce(AT_ONCE, slowestFirst(domains), async (domain) => {
      const one = await send(sender, domain, round)
      sent.set(domain, [...(sent.get(domain) ?? []), one])
    })
  }
  const complaints = await endOf(lab, sender)
  const sessions = await endedSessions(lab)
  const requests = await lab.nginx.requests()
  for (const [host, count] of askedByCheck) requests.set(host, (requests.get(host) ?? 0) - count)
  const results = await Promise.all(
    domains.map((domain) =>
      judge(lab, domain, { sent: sent.get(domain) ?? [], checked, sessions, requests }),
    ),
  )
  return [...results, endResult(complaints)]
}

/** The sender's cache as a file, where this Node has SQLite: 22.13 and later. */
const STORE = process.getBuiltinModule('node:sqlite') === undefined ? undefined : 'policies.sqlite'

/** Number of domains in parallel. */
const AT_ONCE = 24

async function atOnce<T>(
  limit: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = items.values()
  const worker = async () => {
    for (const item of left) await work(item)
  }
  await Promise.all(Array.from({ length: limit }, worker))
}

/** Starts domains with timeouts first, so that the others run in parallel. */
function slowestFirst(domains: readonly PlacedDomain[]): PlacedDomain[] {
  const isSlow = ({ spec: { txt, mx, policy }, hosts }: PlacedDomain) =>
    txt === 'dead' ||
    mx === 'dead' ||
    policy?.host === 'dead-dns' ||
    policy?.host === 'drips' ||
    hosts.some(({ address }) => address === 'dead-dns')
  return [...domains.filter(isSlow), ...domains.filter((domain) => !isSlow(domain))]
}

async function send(sender: Sender, domain: PlacedDomain, round: number): Promise<Sent> {
  const { spec, name, recipient } = domain
  const messageId = `${round}.${name}@sender.example`
  const reply = await sender.send({
    message: {
      from: 'me@sender.example',
      to: recipient,
      subject: `Message ${round}`,
      text: 'Hello!',
      messageId: `<${messageId}>`,
      ...spec.message,
    },
    ...(spec.smartHostFor === undefined ? {} : { smartHost: name }),
  })
  const expected = round === 2 && spec.second ? spec.second : spec.expected
  return { messageId, expected, reply }
}

/** Closes the sender's transports, and returns the complaints. */
async function endOf(lab: Lab, sender: Sender): Promise<string[]> {
  const late = await sender.end().then(
    () => [],
    (error: Error) => [error.message],
  )
  const said = await lab.senderErrors()
  return said === '' ? late : [...late, `it said on its standard error: ${said}`]
}

/** Makes the table's changes before the second message. */
async function change(lab: Lab, domains: readonly PlacedDomain[]): Promise<void> {
  await lab.mortalNginx.stop()
  // A policy that should have expired by the second message
  const lifetimes = domains.flatMap(({ spec }) => spec.policy?.maxAge ?? [])
  await delay(1000 * Math.max(0, ...lifetimes))
  for (const domain of domains) {
    const { txt, policy } = domain.spec.between ?? {}
    if (policy) await lab.nginx.writePolicy(domain, policy)
    if (txt === undefined) continue
    await lab.bind.changeTxt(domain, txt)
    await lab.unbound.flush(domain.name)
  }
}

/** Every session, after the sender has ended. */
export function endedSessions(lab: Lab): Promise<MxSession[]> {
  return until('all SMTP sessions are over', async () => {
    const sessions = await lab.sessions()
    return sessions.every(({ ended }) => ended) && sessions
  })
}

interface Evidence {
  sent: Sent[]
  /** Results of `check` before the first and the second message, by domain */
  checked: ReadonlyArray<ReadonlyMap<string, CheckReport>>
  sessions: MxSession[]
  /** By policy host */
  requests: ReadonlyMap<string, number>
}

async function judge(
  lab: Lab,
  domain: PlacedDomain,
  { sent, checked, sessions, requests }: Evidence,
): Promise<CaseResult> {
  await arrivals(lab, domain, sent)
  const mailbox = await lab.mail.read(domain.mailbox)
  const names = domain.hosts.map(({ name }) => name)
  const own = sessions.filter(({ host }) => names.includes(host))
  return {
    name: domain.spec.name,
    expected: sent.map(({ expected }) => abbreviateOutcome(expected)),
    got: sent.map(({ reply }) => abbreviateOutcome(outcomeOf(reply, domain))),
    log: logLines(domain, own),
    wrong: [
      ...sent.flatMap((one) => judgeMessage(one, domain, mailbox)),
      ...judgeSessions(domain, sent, own),
      ...judgeRequests(domain, requests.get(domain.policyHost) ?? 0),
      ...checked.flatMap((reports, index) => {
        const [one, report] = [sent[index], reports.get(domain.name)]
        return one === undefined ? [] : judgeCheck(report, one, domain)
      }),
    ],
  }
}

/** A server may still be busy with an accepted message: its mailbox is awaited. */
async function arrivals(lab: Lab, { mailbox }: PlacedDomain, sent: readonly Sent[]): Promise<void> {
  const due = sent.filter(({ reply }) => reply.deliveries.some((one) => one.status === 'delivered'))
  const arrived = async () => {
    const ids = (await lab.mail.read(mailbox)).map(({ messageId }) => messageId)
    return due.every(({ messageId }) => ids.includes(messageId))
  }
  // The judge decides about missing messages
  await until('the mail is there', arrived, 10_000).catch(() => undefined)
}

/** The last line of each host's last session. */
function logLines(domain: PlacedDomain, sessions: readonly MxSession[]): string[] {
  return domain.hosts.map(({ name, label }) => {
    const last = sessions.findLast(({ host }) => host === name)
    return `${label}: ${last?.line ?? 'was not connected to'}`
  })
}

function endResult(wrong: string[]): CaseResult {
  const expected = ['says nothing, ends after close()']
  return {
    name: 'sender',
    expected,
    got: wrong.length ? wrong : expected,
    log: [],
    wrong,
  }
}
