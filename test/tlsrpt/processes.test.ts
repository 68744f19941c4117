/** Many processes that report as one sender, and processes that die at every step. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  parseReport,
  type ReportStore,
  redisReportStore,
  sqliteReportStore,
  type TlsReport,
  TlsReporter,
} from '../../src/tlsrpt/index.js'
import { RedisServer, whyNoRedis } from '../policy/stores/redis-server.js'
import { rawSqlite } from '../policy/stores/sqlite-task.js'
import { bundleChild } from './bundle-child.js'
import {
  type Death,
  DOMAINS,
  type SentMessage,
  type StorePlace,
  type Task,
} from './process-task.js'
import {
  FakeResolver,
  FakeTransporter,
  reporterOptions,
  TODAY_NOON,
  TOMORROW_NOON,
} from './support.js'

const MINUTE = 60_000

/** A process that has loaded everything, and its mail. */
class Child {
  readonly sent: TlsReport[] = []
  readonly #process: ChildProcess
  readonly #exit: Promise<unknown[]>
  readonly #answers: string[] = []
  #waiting: ((answer: string) => void) | undefined

  constructor() {
    this.#process = fork(join(folder, 'child.cjs'), {
      execArgv: ['--no-warnings'],
      env: { ...process.env, NODE_COMPILE_CACHE: join(folder, 'cache') },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#exit = once(this.#process, 'exit')
    this.#process.on('message', (message: SentMessage | string) => {
      if (typeof message === 'object') {
        this.sent.push(parseReport(Buffer.from(message.sent, 'base64')))
        return
      }
      if (this.#waiting) this.#waiting(message)
      else this.#answers.push(message)
      this.#waiting = undefined
    })
  }

  /** Its next message. */
  answer(): Promise<string> {
    const answer = this.#answers.shift()
    if (answer !== undefined) return Promise.resolve(answer)
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  async do(task: Task): Promise<void> {
    const answer = this.answer()
    this.#process.send(task)
    expect(await answer).toBe('done')
  }

  /** Gives it a task that it does not survive. */
  async dieOf(task: Task): Promise<void> {
    this.#process.send(task)
    const [, signal] = await this.#exit
    expect(signal).toBe('SIGKILL')
  }

  async end(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#exit
  }
}

async function startChildren(number: number): Promise<Child[]> {
  const children = Array.from({ length: number }, () => new Child())
  for (const child of children) expect(await child.answer()).toBe('ready')
  return children
}

/** A kind of store that processes can share, and the way to open it. */
interface Kind {
  name: string
  place(name: string): StorePlace
  open(place: StorePlace): ReportStore
}

const folder = mkdtempSync(join(tmpdir(), 'mta-sts-reporters-'))
const server = new RedisServer('in memory')
const noRedis = whyNoRedis()
let client: ReturnType<typeof createClient> | undefined

const REDIS: Kind = {
  name: 'Redis',
  place: (name) => ({ kind: 'redis', port: server.port, prefix: `${name}:` }),
  open: (place) => {
    if (client === undefined || place.kind !== 'redis') throw new Error('it is not Redis')
    return redisReportStore(client, { prefix: place.prefix })
  },
}
const SQLITE: Kind = {
  name: 'SQLite',
  place: (name) => ({ kind: 'sqlite', path: join(folder, `${name}.db`) }),
  open: (place) => sqliteReportStore(place.kind === 'sqlite' ? place.path : ''),
}
const kinds = [...(noRedis === undefined ? [REDIS] : []), ...(rawSqlite() ? [SQLITE] : [])]

beforeAll(async () => {
  await bundleChild(new URL('./process-child.ts', import.meta.url), folder)
  if (noRedis !== undefined) return
  await server.start()
  client = createClient({ socket: { host: '127.0.0.1', port: server.port } })
  client.on('error', () => {})
  await client.connect()
})
afterAll(async () => {
  client?.destroy()
  await server.dispose()
  rmSync(folder, { recursive: true })
})

if (noRedis !== undefined) {
  console.warn(`Processes that share a Redis are not tested: ${noRedis}`)
  it(`no processes share a Redis: ${noRedis}`, () => {
    expect(kinds).not.toContain(REDIS)
  })
}
if (rawSqlite() === undefined) {
  it('no processes share a SQLite file: this Node has no node:sqlite, and the store says so', () => {
    expect(() => sqliteReportStore(join(folder, 'none.db'))).toThrow(/22\.13/)
  })
}

const PROCESSES = 10
const SESSIONS = 10_000

/** The counts of publishSessions: every third session is of bob.example, and fails. */
function expectedCounts() {
  const numbers = Array.from({ length: SESSIONS }, (_, n) => n)
  return DOMAINS.map((domain, index) => {
    const mine = numbers.filter((n) => n % 3 === index)
    const failed = mine.filter((n) => domain === 'bob.example' || n % 10 === 0).length
    const succeeded = (mine.length - failed) * PROCESSES
    return { domain, succeeded, failed: failed * PROCESSES, failures: PROCESSES }
  })
}

function countsIn({ policies }: TlsReport) {
  expect(policies.length).toBe(1)
  const [policy] = policies
  return {
    domain: policy?.policyDomain ?? '',
    succeeded: policy?.totalSuccessfulSessionCount,
    failed: policy?.totalFailureSessionCount,
    failures: policy?.failureDetails.length,
  }
}

if (kinds.length > 0) {
  describe('many processes', () => {
    it(`[RPT-13] ${PROCESSES} on one store, ${SESSIONS} sessions each: counts are exact, each report is sent once`, async () => {
      const children = await startChildren(PROCESSES)
      for (const kind of kinds) {
        const place = kind.place('many')
        await Promise.all(
          children.map((child, n) =>
            child.do({ do: 'count', place, process: n, sessions: SESSIONS }),
          ),
        )
        await Promise.all(children.map((child) => child.do({ do: 'report', place })))
        const reports = children.flatMap(({ sent }) => sent.splice(0))
        const counted = reports.map(countsIn).sort((a, b) => (a.domain < b.domain ? -1 : 1))
        // One for each domain: none was sent twice
        expect(counted).toEqual(expectedCounts())
      }
      for (const child of children) await child.end()
    })
  })
}

/** Every step with an effect outside the process. `times`: copies that are sent. */
const DEATHS: Array<Death & { times: number; why?: string }> = [
  {
    method: 'add',
    when: 'before',
    times: 0,
    why: ': what was counted in the last seconds is lost',
  },
  { method: 'add', when: 'after', times: 1 },
  { method: 'seal', when: 'before', times: 1 },
  { method: 'seal', when: 'after', times: 1 },
  { method: 'claim', when: 'before', times: 1 },
  { method: 'claim', when: 'after', times: 1 },
  { method: 'save', when: 'before', times: 1 },
  { method: 'save', when: 'after', times: 1 },
  { method: 'sendMail', when: 'before', times: 1 },
  { method: 'sendMail', when: 'after', times: 2, why: ', under the same report-id' },
  { method: 'save', when: 'before', call: 2, times: 2, why: ', under the same report-id' },
  { method: 'save', when: 'after', call: 2, times: 1 },
  { method: 'remove', when: 'before', times: 1 },
  { method: 'remove', when: 'after', times: 1 },
]

function nameOf({ method, when, call }: Death): string {
  return `${when} ${method}${call ? ` (call ${call})` : ''}`
}

for (const kind of kinds) {
  describe(`kill -9, on ${kind.name}`, () => {
    /** All of them die in parallel, each on its own store. */
    const deaths = new Map<string, { place: StorePlace; sent: TlsReport[] }>()

    beforeAll(async () => {
      const children = await startChildren(DEATHS.length)
      await Promise.all(
        DEATHS.map(async (death, n) => {
          const child = children[n]
          if (child === undefined) throw new Error('there is no such child')
          const place = kind.place(`death-${n}`)
          await child.dieOf({ do: 'die', place, death, sessions: 1 })
          deaths.set(nameOf(death), { place, sent: child.sent })
        }),
      )
    })

    it.each(DEATHS.map(({ times, why = '', ...death }) => [nameOf(death), times, why] as const))(
      '[RPT-13] %s: sent %d times%s',
      async (name, times) => {
        const { place, sent } = deaths.get(name) ?? { sent: [] }
        if (place === undefined) throw new Error('no process has died at this step')
        const reports = [...sent, ...(await goOn(kind.open(place)))]
        expect(reports.length).toBe(times)
        for (const report of reports) {
          // The same report, including its report-id
          expect(report).toEqual(reports[0])
          expect(report.policies).toMatchObject([
            { policyDomain: 'a.example', totalFailureSessionCount: 1 },
          ])
        }
      },
    )
  })
}

/** The next process on the store: its reports at once, and after the dead one's claim. */
async function goOn(store: ReportStore): Promise<TlsReport[]> {
  const clock = { time: TODAY_NOON }
  const transporter = new FakeTransporter()
  const resolver = new FakeResolver({ 'a.example': 'mailto:reports@a.example' })
  const now = () => clock.time
  const reporter = new TlsReporter(reporterOptions({ store, transporter, resolver, now }))
  for (const time of [TOMORROW_NOON, TOMORROW_NOON + 15 * MINUTE, TOMORROW_NOON + 60 * MINUTE]) {
    clock.time = time
    await reporter.sendReports()
  }
  await reporter.close()
  return transporter.sent.map(({ report }) => report)
}
