/**
 * A process that counts and reports on a store, while the test kills, stops and disconnects
 * processes.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis as IoRedis } from 'ioredis'
import { createClient } from 'redis'
import {
  type ReportMail,
  type ReportStore,
  redisReportStore,
  sqliteReportStore,
  TlsReporter,
} from '../../src/tlsrpt/index.js'
import {
  FakeResolver,
  plainSession,
  publishSession,
  reporterOptions,
  TODAY_NOON,
  TOMORROW_NOON,
} from '../tlsrpt/support.js'
import {
  type Answer,
  OWN_SESSIONS,
  ownDomain,
  type Place,
  SHARED,
  SHARED_SESSIONS,
  type Task,
} from './chaos-task.js'

let stopping = false

function tell(answer: Answer): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(answer, (error: Error | null) => (error ? reject(error) : resolve()))
  })
}

async function openStore(place: Place): Promise<{ store: ReportStore; end: () => void }> {
  if (place.kind === 'sqlite') return { store: sqliteReportStore(place.path), end: () => {} }
  const socket = { host: '127.0.0.1', port: place.port }
  if (place.client === 'ioredis') {
    // Repeats the last unacknowledged portion
    const client = new IoRedis({ ...socket, maxRetriesPerRequest: null, retryStrategy: () => 20 })
    client.on('error', () => {})
    return { store: redisReportStore(client), end: () => client.disconnect() }
  }
  const client = createClient({ socket: { ...socket, reconnectStrategy: () => 20 } })
  client.on('error', () => {})
  await client.connect()
  return { store: redisReportStore(client), end: () => client.destroy() }
}

/** A resolver in which every domain requests reports. */
class WillingResolver extends FakeResolver {
  override async resolveTxt(name: string): Promise<string[][]> {
    return [[`v=TLSRPTv1; rua=mailto:reports@${name.replace('_smtp._tls.', '')}`]]
  }
}

function newReporter(store: ReportStore, now: () => number): TlsReporter {
  const transporter = {
    sendMail: ({ raw }: ReportMail) => tell({ sent: raw.toString('base64') }),
  }
  const resolver = new WillingResolver()
  return new TlsReporter(reporterOptions({ store, transporter, resolver, now, flushInterval: 500 }))
}

/** Repeats a step until the store has answered: every failure may be a lost reply. */
async function persist(step: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await step()
      return
    } catch {
      await sleep(20)
    }
  }
}

async function count({ name, offset, place }: Task & { do: 'count' }): Promise<void> {
  const { store, end } = await openStore(place)
  const reporter = newReporter(store, () => TODAY_NOON + offset)
  for (let batch = 0; !stopping; batch++) {
    await tell({ batch })
    for (let n = 0; n < OWN_SESSIONS; n++) publishSession(plainSession(ownDomain(name, batch)))
    for (let n = 0; n < SHARED_SESSIONS; n++) {
      const failure = { resultType: 'starttls-not-supported' } as const
      publishSession(plainSession(SHARED, n === 0 ? { failure } : {}))
    }
    await persist(() => reporter.flush())
    await tell({ acknowledged: batch })
    // Leaves the machine time for other work
    await sleep(Math.random() * 100)
  }
  await reporter.close()
  end()
}

async function send({ offset, place }: Task & { do: 'send' }): Promise<void> {
  const { store, end } = await openStore(place)
  const reporter = newReporter(store, () => TOMORROW_NOON + offset)
  await persist(() => reporter.sendReports())
  await reporter.close()
  end()
}

process.on('message', (task: Task | 'stop') => {
  if (task === 'stop') {
    stopping = true
    return
  }
  void (task.do === 'count' ? count(task) : send(task))
    .then(() => tell({ done: true }))
    .then(() => process.exit(0))
})
