/**
 * The cost of counting for the sending path: nanoseconds for a session, of the fastest of ten
 * rounds.
 *
 * npx tsx test/tlsrpt/collector-bench.ts
 */
import { subscribe } from 'node:diagnostics_channel'
import { Collector } from '../../src/tlsrpt/collector.js'
import { failedSession, plainSession, publishSession, session } from './support.js'

const SESSIONS = 200_000

const collector = new Collector({
  maxPolicies: 16,
  maxFailures: 1000,
  maxDomains: 100_000,
  now: Date.now,
})
subscribe('mta-sts:session', collector.onSession)

function measure(name: string, events: readonly unknown[]): void {
  let fastest = Number.POSITIVE_INFINITY
  for (let round = 0; round < 10; round++) {
    const begin = process.hrtime.bigint()
    for (let n = 0; n < SESSIONS; n++) publishSession(events[n % events.length])
    fastest = Math.min(fastest, Number(process.hrtime.bigint() - begin) / SESSIONS)
    collector.take()
  }
  console.log(`${name.padEnd(50)} ${fastest.toFixed(0).padStart(6)} ns a session`)
}

const domains = Array.from({ length: 10_000 }, (_, n) => `d${n}.example`)
const failing = { resultType: 'certificate-expired' } as const

measure('success, one domain', [session()])
measure(
  'success, 10000 domains',
  domains.map((domain) => plainSession(domain)),
)
measure('failure, the same', [failedSession()])
measure(
  'failure, one each of 10000 domains',
  domains.map((domain) => plainSession(domain, { failure: failing })),
)
measure(
  'failure, 200000 different ones',
  Array.from({ length: SESSIONS }, (_, n) =>
    failedSession({ address: `2001:db8::${n.toString(16)}` }),
  ),
)
