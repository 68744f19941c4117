/**
 * Ten processes that count and report on one store, real Redis or SQLite, while they are killed,
 * stopped and disconnected, and while their clocks differ by up to ten minutes. `npm run test:soak`
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import {
  type AddressInfo,
  createConnection,
  createServer,
  type Server,
  type Socket,
} from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseReport, type TlsReport } from '../../src/tlsrpt/index.js'
import { RedisServer, whyNoRedis } from '../policy/stores/redis-server.js'
import { rawSqlite } from '../policy/stores/sqlite-task.js'
import { bundleChild } from '../tlsrpt/bundle-child.js'
import {
  type Answer,
  OWN_SESSIONS,
  ownDomain,
  type Place,
  SHARED,
  SHARED_SESSIONS,
  type Task,
} from './chaos-task.js'

const PROCESSES = 10
const MINUTE = 60_000
/** For all stores together */
const COUNTING_TIME = 80_000

const folder = mkdtempSync(join(tmpdir(), 'mta-sts-chaos-'))
const server = new RedisServer('on disk')
const hasRedis = whyNoRedis() === undefined

/** Passes everything on to Redis, but drops some replies together with their connection. */
class LossyProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  lost = 0
  losing = true

  constructor(target: () => number) {
    this.#server = createServer((client) => {
      const redis = createConnection(target(), '127.0.0.1')
      for (const socket of [client, redis]) {
        this.#sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => {
          this.#sockets.delete(socket)
          client.destroy()
          redis.destroy()
        })
      }
      client.on('data', (chunk) => redis.write(chunk))
      redis.on('data', (chunk) => {
        if (!this.losing || Math.random() > 0.03) return void client.write(chunk)
        this.lost++
        client.destroy()
      })
    })
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}

class Child {
  readonly process: ChildProcess
  readonly #exit: Promise<unknown>
  readonly begun: number[] = []
  readonly acknowledged = new Set<number>()
  readonly sent: TlsReport[] = []
  done = false

  constructor(task: Task) {
    this.process = fork(join(folder, 'child.cjs'), {
      execArgv: ['--no-warnings'],
      env: { ...process.env, NODE_COMPILE_CACHE: join(folder, 'cache') },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#exit = once(this.process, 'exit')
    this.process.on('error', () => {})
    this.process.on('message', (answer: Answer) => {
      if ('batch' in answer) this.begun.push(answer.batch)
      else if ('acknowledged' in answer) this.acknowledged.add(answer.acknowledged)
      else if ('sent' in answer) this.sent.push(parseReport(Buffer.from(answer.sent, 'base64')))
      else this.done = true
    })
    this.process.send(task)
  }

  get isAlive(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL')
    await this.#exit
  }

  async pause(time: number): Promise<void> {
    this.process.kill('SIGSTOP')
    await sleep(time)
    this.process.kill('SIGCONT')
  }

  /** Waits for its end, which must be voluntary. */
  async end(): Promise<void> {
    if (this.isAlive && this.process.connected) this.process.send('stop', () => {})
    await this.#exit
    expect(this.done || this.process.signalCode === 'SIGKILL').toBe(true)
  }
}

/** Sums by domain; the reports of a domain and day, by id. */
function account(reports: readonly TlsReport[]) {
  const byId = new Map<string, TlsReport>()
  for (const report of reports) {
    const known = byId.get(report.reportId)
    // A copy is exactly the same report
    if (known) expect(report).toEqual(known)
    byId.set(report.reportId, report)
  }
  const sums = new Map<string, { reports: number; succeeded: number; failed: number }>()
  for (const { policies } of byId.values()) {
    expect(policies.length).toBe(1)
    for (const policy of policies) {
      const sum = sums.get(policy.policyDomain) ?? { reports: 0, succeeded: 0, failed: 0 }
      sum.reports++
      sum.succeeded += policy.totalSuccessfulSessionCount
      sum.failed += policy.totalFailureSessionCount
      sums.set(policy.policyDomain, sum)
    }
  }
  return sums
}

const randomOffset = () => Math.round((Math.random() * 2 - 1) * 10 * MINUTE)

async function countInChaos(places: () => Place, time: number): Promise<Map<string, Child>> {
  const all = new Map<string, Child>()
  const start = (): Child => {
    const name = `p${all.size}`
    const child = new Child({ do: 'count', place: places(), name, offset: randomOffset() / 2 })
    all.set(name, child)
    return child
  }
  const running = Array.from({ length: PROCESSES }, start)
  const pauses: Promise<void>[] = []
  const end = performance.now() + time
  while (performance.now() < end) {
    await sleep(200 + Math.random() * 400)
    const index = Math.floor(Math.random() * PROCESSES)
    const child = running[index]
    if (child === undefined) continue
    if (Math.random() < 0.5) {
      await child.kill()
      running[index] = start()
    } else pauses.push(child.pause(Math.random() * 7000))
  }
  await Promise.all(pauses)
  await Promise.all(running.map((child) => child.end()))
  return all
}

async function sendInChaos(places: () => Place): Promise<TlsReport[]> {
  const senders: Child[] = []
  for (let round = 0; round < 3; round++) {
    const some = Array.from(
      { length: PROCESSES },
      () =>
        new Child({ do: 'send', place: places(), offset: randomOffset() + round * 30 * MINUTE }),
    )
    senders.push(...some)
    await sleep(700)
    if (round < 2) await Promise.all(some.slice(0, 3).map((child) => child.kill()))
    await Promise.all(some.map((child) => child.end()))
  }
  // The claims of the killed ones
  const last = new Child({ do: 'send', place: places(), offset: 6 * 60 * MINUTE })
  senders.push(last)
  await last.end()
  return senders.flatMap(({ sent }) => sent)
}

function compare(children: ReadonlyMap<string, Child>, reports: readonly TlsReport[]): void {
  const sums = account(reports)
  let batches = 0
  let acknowledged = 0
  for (const [name, child] of children) {
    for (const batch of child.begun) {
      const domain = ownDomain(name, batch)
      const sum = sums.get(domain)
      if (child.acknowledged.has(batch)) {
        acknowledged++
        expect(sum, `${domain} was acknowledged`).toBeDefined()
      }
      if (sum === undefined) continue
      batches++
      expect(sum, domain).toEqual({ reports: 1, succeeded: OWN_SESSIONS, failed: 0 })
    }
  }
  // The two domains of a batch are one portion: all or nothing
  expect(sums.get(SHARED)).toEqual({
    reports: 1,
    succeeded: batches * (SHARED_SESSIONS - 1),
    failed: batches,
  })
  expect(sums.size).toBe(batches + 1)
  expect(acknowledged).toBeGreaterThan(100)
  console.log(`${children.size} processes, ${acknowledged} of ${batches} batches acknowledged`)
}

beforeAll(async () => {
  await bundleChild(new URL('./chaos-child.ts', import.meta.url), folder)
  if (hasRedis) await server.start()
}, 60_000)
afterAll(async () => {
  await server.dispose()
  rmSync(folder, { recursive: true })
})

const kinds = [...(hasRedis ? ['Redis'] : []), ...(rawSqlite() ? ['SQLite'] : [])]

describe('chaos', () => {
  it('has a store to run on', () => {
    expect(kinds.length).toBeGreaterThan(0)
  })

  for (const kind of kinds) {
    it(`[RPT-16] [RPT-13] ${PROCESSES} processes on ${kind}: every acknowledged session is in one report, once`, async () => {
      const proxy = new LossyProxy(() => server.port)
      await proxy.start()
      const place = (): Place =>
        kind === 'SQLite'
          ? { kind: 'sqlite', path: join(folder, 'reports.db') }
          : {
              kind: 'redis',
              port: proxy.port,
              client: Math.random() < 0.5 ? 'redis' : 'ioredis',
            }
      try {
        const children = await countInChaos(place, COUNTING_TIME / kinds.length)
        const reports = await sendInChaos(place)
        compare(children, reports)
        if (kind === 'Redis') expect(proxy.lost).toBeGreaterThan(10)
      } finally {
        proxy.close()
      }
    }, 300_000)
  }
})
