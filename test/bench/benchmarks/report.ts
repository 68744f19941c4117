/**
 * The number of session results that the TLS reporter counts in a second. It is part of every
 * delivery, and must not slow it down.
 *
 * @module
 */
import { generateKeyPairSync } from 'node:crypto'
import { channel } from 'node:diagnostics_channel'
import type { AppliedPolicy, SessionEvent } from 'mta-sts'
import { type ReportStore, TlsReporter } from '../../../src/tlsrpt/index.js'
import { type Benchmark, planFor } from '../benchmark.js'
import { domainNames, POLICY_ID } from '../network.js'
import { alternate, perSecond, spread } from '../pairs.js'
import { ownMxHosts, policyBody } from '../policies.js'

/** One session in twenty fails, with one of these. */
const FAILURES = ['certificate-expired', 'starttls-not-supported'] as const

export const report: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 5000 : 200_000
  const policies = domainNames(1000, 'reported').map(appliedPolicy)
  const sessions = channel('mta-sts:session')
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const { store, take } = countingStore()
  await using reporter = new TlsReporter({
    organizationName: 'Example Ltd',
    contactInfo: 'postmaster@sender.example',
    submitter: 'sender.example',
    store,
    transporter: { sendMail: async () => undefined },
    dkim: {
      domainName: 'sender.example',
      keySelector: 'bench',
      privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    },
    sending: 'manual',
  })
  const { ours } = await alternate(
    {
      async ours() {
        const rate = await perSecond(count, async () => {
          for (let index = 0; index < count; index++) {
            const policy = policies[index % policies.length]
            if (policy) sessions.publish(session(policy, index))
          }
          await reporter.flush()
        })
        const { successes, failures } = take()
        if (failures === count / 20 && successes + failures === count) return rate
        throw new Error(`Of ${count} sessions: ${successes} good, ${failures} failed`)
      },
    },
    planFor(mode),
  )
  return {
    rows: [
      {
        name: 'report',
        what: 'session results taken by the TLS reporter and written to its store',
        unit: '/s',
        ours: spread(ours.values),
        target: { of: 'ours', bound: 'at-least', value: 1_000_000 },
      },
    ],
  }
}

/** A session, as published. */
function session(policy: AppliedPolicy, index: number): SessionEvent {
  const resultType = index % 20 === 7 ? FAILURES[index % FAILURES.length] : undefined
  const mxHost = policy.mxHosts[index % 2] ?? ''
  return {
    policy,
    mxHost,
    address: '192.0.2.1',
    localAddress: '198.51.100.1',
    helo: mxHost,
    ...(resultType === undefined ? {} : { failure: { resultType, mxHost } }),
  }
}

function appliedPolicy(domain: string): AppliedPolicy {
  const mxHosts = ownMxHosts(domain)
  return { type: 'sts', domain, mode: 'enforce', id: POLICY_ID, mxHosts, body: policyBody(mxHosts) }
}

/** A store that adds up its input. */
function countingStore() {
  let successes = 0
  let failures = 0
  const store: ReportStore = {
    async add(counts) {
      for (const { policies } of counts) {
        for (const policy of policies) {
          successes += policy.successes
          for (const [, sessions] of policy.failures) failures += sessions
        }
      }
    },
    seal: async () => undefined,
    claim: async () => undefined,
    save: async () => true,
    remove: async () => true,
  }
  const take = () => {
    const taken = { successes, failures }
    successes = 0
    failures = 0
    return taken
  }
  return { store, take }
}
