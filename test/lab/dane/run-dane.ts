/**
 * Plays the DANE part: a message to every domain, compared with Postfix's verdict and with `check`.
 *
 * @module
 */
import type { CheckReport } from '../../../src/cli/check/findings.js'
import type { CaseResult } from '../cases.js'
import type { SendReply } from '../sender.js'
import { until } from '../shell.js'
import { DaneLab } from './dane-lab.js'
import type { DaneDomain, DaneOutcome } from './domains.js'
import { judgeCheck } from './judge-check.js'
import type { OracleVerdict } from './oracle.js'

export async function runDane(tell: (what: string) => void): Promise<CaseResult[]> {
  tell('DANE: signing the zones, starting the servers')
  const lab = await DaneLab.create()
  const sender = lab.sender()
  tell(`DANE: a message to each of ${lab.domains.length} domains`)
  const replies = await Promise.all(
    lab.domains.map(({ name }) => sender.send({ message: messageTo(name) })),
  )
  await sender.end()
  tell('DANE: posttls-finger asks each of them')
  const verdicts = await oracleVerdicts(lab)
  tell('DANE: check --dane looks at each of them')
  const reports = await lab.check(lab.domains.map(({ name }) => name))
  const complaints = await lab.senderErrors()
  if (complaints !== '') throw new Error(`The sender said on its standard error: ${complaints}`)
  return Promise.all(
    lab.domains.map((domain, index) => {
      const reply = replies[index] ?? { deliveries: [] }
      const verdict = verdicts[index] ?? { outcome: 'deferred', said: 'it was not asked' }
      return judge(lab, domain, { reply, verdict, report: reports.get(domain.name) })
    }),
  )
}

function messageTo(domain: string) {
  return {
    from: 'me@sender.example',
    to: `you@${domain}`,
    subject: 'A message under DANE',
    text: 'Hello!',
    messageId: `<${domain}@sender.example>`,
  }
}

/** A few at a time: those that wait for a silent name server do nothing else. */
const AT_ONCE = 8

async function oracleVerdicts(lab: DaneLab): Promise<OracleVerdict[]> {
  const verdicts: OracleVerdict[] = []
  const left = lab.domains.entries()
  const worker = async () => {
    for (const [index, { name }] of left) {
      verdicts[index] = await lab.oracle(name)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return verdicts
}

/** Converts the sender's report to a {@link DaneOutcome}. */
function outcomeOf({ deliveries: [delivery], error }: SendReply): DaneOutcome {
  if (delivery?.status === 'delivered') {
    if (delivery.proved === 'dane') return 'dane'
    return delivery.failures.some(({ reason }) => reason === 'tlsa-unusable')
      ? 'tls'
      : 'opportunistic'
  }
  if (error?.permanent) return 'bounced'
  return delivery?.status === 'refused' ? 'refused' : 'deferred'
}

async function judge(
  lab: DaneLab,
  domain: DaneDomain,
  evidence: { reply: SendReply; verdict: OracleVerdict; report: CheckReport | undefined },
): Promise<CaseResult> {
  const { name, expected, reason, oracle } = domain
  const { reply, verdict, report } = evidence
  const got = outcomeOf(reply)
  const reasons = reply.deliveries.flatMap(({ failures }) => failures).map((each) => each.reason)
  const wrong: string[] = []
  if (got !== expected) wrong.push(`expected ${expected}; got ${got} ${reply.error?.text ?? ''}`)
  if (reason !== undefined && !reasons.includes(reason)) {
    wrong.push(`expected the reason ${reason}; got ${reasons.join(', ')}`)
  }
  const arrived = await arrivals(lab, domain, isDelivered(got))
  const due = isDelivered(expected) ? 1 : 0
  if (arrived !== due) wrong.push(`${arrived} in the mailbox, and not ${due}`)
  const wanted = oracle?.verdict ?? expected
  if (verdict.outcome !== wanted) {
    wrong.push(`posttls-finger comes to ${verdict.outcome}, and not to ${wanted}: ${verdict.said}`)
  }
  wrong.push(...judgeCheck(report, reply, got))
  const because = oracle === undefined ? '' : ` (${oracle.because})`
  return {
    name: `dane: ${name.replace(/\.lab$/, '')}`,
    expected: [expected],
    got: [got],
    log: [`posttls-finger: ${verdict.outcome}${because}: ${verdict.said}`],
    wrong,
  }
}

const isDelivered = (outcome: DaneOutcome) => ['dane', 'tls', 'opportunistic'].includes(outcome)

async function arrivals(lab: DaneLab, { name }: DaneDomain, isDue: boolean): Promise<number> {
  const read = async () => {
    const mailbox = await lab.mail.read(name)
    return mailbox.filter(({ messageId }) => messageId === `${name}@sender.example`).length
  }
  if (!isDue) return read()
  // A server may still be busy with an accepted message
  return until('the mail is there', async () => (await read()) || undefined, 10_000).catch(() => 0)
}
