/**
 * A process that counts and reports on a shared store, for processes.test.ts. It sends "ready" over
 * IPC, and "done" after each task; its mail goes to the parent.
 */
import { createClient } from 'redis'
import {
  type ReportMail,
  type ReportStore,
  redisReportStore,
  sqliteReportStore,
  TlsReporter,
} from '../../src/tlsrpt/index.js'
import { type Death, DOMAINS, publishSessions, type StorePlace, type Task } from './process-task.js'
import { FakeResolver, reporterOptions, TODAY_NOON, TOMORROW_NOON } from './support.js'

/** Resolves when the parent has received it, whatever happens to this process. */
function tell(message: object | string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(message, (error: Error | null) => (error ? reject(error) : resolve()))
  })
}

async function openStore(place: StorePlace): Promise<{ store: ReportStore; end: () => void }> {
  if (place.kind === 'sqlite') return { store: sqliteReportStore(place.path), end: () => {} }
  const client = createClient({ socket: { host: '127.0.0.1', port: place.port } })
  client.on('error', () => {})
  await client.connect()
  return { store: redisReportStore(client, { prefix: place.prefix }), end: () => client.destroy() }
}

/** Dies as by the kernel: at once, without notice. */
function die(): Promise<never> {
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => {})
}

/** Like the object, up to a step at which the process dies. */
function mortal<T extends object>(object: T, death: Death): T {
  let calls = 0
  return new Proxy(object, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name)
      if (name !== death.method || typeof method !== 'function') return method
      return async (...args: unknown[]) => {
        if (++calls !== (death.call ?? 1)) return method.apply(target, args)
        if (death.when === 'after') await method.apply(target, args)
        return die()
      }
    },
  })
}

const transporter = {
  async sendMail({ raw }: ReportMail): Promise<void> {
    await tell({ sent: raw.toString('base64') })
  },
}

function newReporter(store: ReportStore, clock: { time: number }, death?: Death): TlsReporter {
  const rua = DOMAINS.map((domain) => [domain, `mailto:reports@${domain}`])
  return new TlsReporter(
    reporterOptions({
      store: death ? mortal(store, death) : store,
      transporter: death ? mortal(transporter, death) : transporter,
      resolver: new FakeResolver(Object.fromEntries(rua)),
      now: () => clock.time,
    }),
  )
}

async function run(task: Task): Promise<void> {
  const { store, end } = await openStore(task.place)
  const clock = { time: task.do === 'report' ? TOMORROW_NOON : TODAY_NOON }
  const reporter = newReporter(store, clock, task.do === 'die' ? task.death : undefined)
  if (task.do !== 'report') {
    publishSessions(task.do === 'count' ? task.process : 1, task.sessions)
    await reporter.flush()
  }
  if (task.do !== 'count') {
    clock.time = TOMORROW_NOON
    await reporter.sendReports()
  }
  await reporter.close()
  end()
}

process.on('message', (task: Task) => {
  run(task).then(
    () => tell('done'),
    (error) => tell(`failed: ${String(error)}`),
  )
})
void tell('ready')
