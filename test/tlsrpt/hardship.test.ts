/** Stores that fail or give wrong answers, slow destinations, invalid events, different clocks. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { MtaStsError } from '../../src/errors.js'
import type { StoreFailureEvent, TlsReportsEvent } from '../../src/events.js'
import {
  type ClaimedReport,
  memoryReportStore,
  type ReportMail,
  type ReportStore,
  type TlsReporterOptions,
} from '../../src/tlsrpt/index.js'
import { LIMITS, MINUTE, NOTHING, setUp as setUpReporter } from './reporter-setup.js'
import {
  counts,
  DAY,
  failedSession,
  HOUR,
  OtherProcess,
  plainSession,
  publishSession,
  session,
  TODAY,
  TODAY_NOON,
} from './support.js'

const DOMAINS = ['a.example', 'b.example', 'bob.example', 'c.example']
const cleanups: (() => void)[] = []

afterEach(() => {
  vi.useRealTimers()
  for (const cleanup of cleanups.splice(0)) cleanup()
})

/** A reporter for four domains, whose store may fail when it is closed. */
function setUp(overrides: Partial<TlsReporterOptions> = {}) {
  return setUpReporter(overrides, { domains: DOMAINS, onCloseError: () => undefined })
}

function heardOn<T>(name: 'mta-sts:tlsrpt' | 'mta-sts:store-failure'): T[] {
  const heard: T[] = []
  const hear = (event: unknown) => heard.push(event as T)
  subscribe(name, hear)
  cleanups.push(() => unsubscribe(name, hear))
  return heard
}

/** The sums of all counts in a store, by domain, once the day is over. */
async function sumsIn(store: ReportStore): Promise<Record<string, number>> {
  let ids = 0
  await store.seal('2027-01-01', () => ({ id: `sum${++ids}`, notBefore: 0 }))
  const sums: Record<string, number> = {}
  for (;;) {
    const report = await store.claim({ now: 0, until: 1, early: true })
    if (report === undefined) return sums
    for (const { successes, failures } of report.policies) {
      const failed = failures.reduce((sum, [, sessions]) => sum + sessions, 0)
      sums[report.domain] = (sums[report.domain] ?? 0) + successes + failed
    }
  }
}

const never = () => new Promise<never>(() => {})

describe('lost replies', () => {
  it('[RPT-16] counts with a lost reply are added once, and later ones are added too', async () => {
    const store = memoryReportStore()
    let losing = true
    const lossy: ReportStore = {
      ...store,
      add: async (...args) => {
        await store.add(...args)
        if (losing) throw new Error('connection lost')
      },
    }
    const { reporter } = setUp({ store: lossy })
    for (let n = 0; n < 10; n++) {
      for (let session = 0; session < 100; session++) publishSession(plainSession('a.example'))
      publishSession(plainSession(`d${n}.example`))
      await expect(reporter.flush()).rejects.toThrow('connection lost')
    }
    losing = false
    await reporter.flush()
    const sums = await sumsIn(store)
    expect(sums['a.example']).toBe(1000)
    expect(Object.values(sums).reduce((sum, count) => sum + count)).toBe(1010)
  })

  it('[RPT-16] counts that arrive after the limit are added once', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const store = memoryReportStore()
    const late: (() => void)[] = []
    const slow: ReportStore = {
      ...store,
      add: (...args) =>
        late.length > 0
          ? store.add(...args)
          : new Promise((resolve) => {
              late.push(() => void store.add(...args).then(resolve))
            }),
    }
    const { reporter } = setUp({ store: slow })
    publishSession()
    const first = expect(reporter.flush()).rejects.toThrow('did not answer within 10000 ms')
    await nextTurn()
    await vi.advanceTimersByTimeAsync(10_000)
    await first
    await reporter.flush()
    for (const arrive of late) arrive()
    await nextTurn()
    expect(await sumsIn(store)).toEqual({ 'bob.example': 1 })
  })
})

describe('invalid data', () => {
  it('[RPT-17] invalid events lose only themselves', async () => {
    const { reporter, store, logged } = setUp()
    const policy = session().policy
    const odd: unknown[] = [
      undefined,
      null,
      5,
      'text',
      {},
      { policy: null },
      session({ policy: Object.assign({}, policy, { body: 5 }) }),
      session({ policy: Object.assign({}, policy, { mxHosts: undefined }) }),
      session({ policy: Object.assign({}, policy, { mxHosts: 'mx.bob.example' }) }),
      session({ policy: Object.assign({}, policy, { mxHosts: [Symbol('mx')] }) }),
      session({ policy: Object.assign({}, policy, { type: 5 }) }),
      session({ policy: Object.assign({}, policy, { domain: 5 }) }),
      failedSession(Object({ address: 5 })),
      failedSession(Object({ failure: 5 })),
      failedSession(Object({ failure: { resultType: Symbol('type') } })),
    ]
    for (const event of odd) {
      publishSession(event)
      publishSession()
      publishSession(plainSession('a.example'))
    }
    await reporter.flush()
    expect(await sumsIn(store)).toMatchObject({
      'a.example': odd.length,
      'bob.example': expect.any(Number),
    })
    expect(logged.join()).toContain('sessions were not counted')
  })

  it('[RPT-17] a domain whose counts the store refuses does not block others, and is offered again', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const store = memoryReportStore()
    let refusing = true
    const sizes: number[] = []
    const picky: ReportStore = {
      ...store,
      add: async (batch, ...rest) => {
        sizes.push(batch.length)
        if (refusing && batch.some(({ domain }) => domain === 'b.example')) {
          throw new MtaStsError('the key has a wrong type', 'ESTOREVALUE')
        }
        await store.add(batch, ...rest)
      },
    }
    const { reporter, logged } = setUp({ store: picky })
    const failures = heardOn<StoreFailureEvent>('mta-sts:store-failure')
    const publishAll = () => {
      for (const name of ['a', 'b', 'c']) publishSession(plainSession(`${name}.example`))
    }
    publishAll()
    await reporter.flush()
    expect(sizes).toEqual([3, 1, 1, 1])
    expect(failures).toMatchObject([{ operation: 'tlsrpt add', error: { code: 'ESTOREVALUE' } }])
    publishAll()
    await reporter.flush()
    // Not offered at every flush, and the others are together again
    expect(sizes.slice(4)).toEqual([2])
    refusing = false
    vi.advanceTimersByTime(MINUTE)
    await reporter.flush()
    expect(await sumsIn(store)).toEqual({ 'a.example': 2, 'b.example': 2, 'c.example': 2 })
    expect(logged.filter((line) => line.includes('wrong type')).length).toBe(1)
  })

  it('[RPT-17] counts that the store refuses for a day are dropped and reported', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const refuse = () => Promise.reject(new MtaStsError('wrong type', 'ESTOREVALUE'))
    const { reporter, logged } = setUp({ store: { ...memoryReportStore(), add: refuse } })
    publishSession()
    for (let hour = 0; hour < 24; hour++) {
      await reporter.flush()
      vi.advanceTimersByTime(HOUR)
    }
    expect(logged.join()).not.toContain('were not counted')
    vi.advanceTimersByTime(HOUR)
    await reporter.flush()
    expect(logged.at(-1)).toMatch(/^1 sessions were not counted/)
  })

  it('[RPT-17] an unreadable report does not block others, and is dropped after 24 hours', async () => {
    const store = memoryReportStore()
    const spoiled: ReportStore = {
      ...store,
      claim: async (request) => {
        const report = await store.claim(request)
        const unreadable = new MtaStsError('a row is damaged', 'ESTOREVALUE')
        return report?.domain === 'b.example' ? { ...report, policies: [], unreadable } : report
      },
    }
    const { reporter, transporter, passing, logged } = setUp({ store: spoiled })
    const events = heardOn<TlsReportsEvent>('mta-sts:tlsrpt')
    for (const name of ['a', 'b', 'c']) publishSession(plainSession(`${name}.example`))
    passing(DAY)
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, sent: 2, postponed: 1 })
    expect(transporter.days.sort()).toEqual([`${TODAY} a.example`, `${TODAY} c.example`])
    const sum = { ...NOTHING }
    for (let n = 0; n < 30; n++) {
      passing(HOUR)
      const { postponed, abandoned } = await reporter.sendReports()
      sum.postponed += postponed
      sum.abandoned += abandoned
    }
    expect(sum.abandoned).toBe(1)
    expect(logged.at(-1)).toMatch(/a row is damaged\); it is given up$/)
    const last = events.flatMap(({ reports }) => reports).at(-1)
    expect(last).toMatchObject({ domain: 'b.example', outcome: 'abandoned' })
    expect(String(last?.error)).toContain('a row is damaged')
  })

  it('[RPT-17] a third-party store that rejects for one report does not block others', async () => {
    const store = memoryReportStore()
    const rejecting: ReportStore = {
      ...store,
      claim: async (request) => {
        const report = await store.claim(request)
        if (report?.domain === 'a.example') throw new MtaStsError('rubbish', 'ESTOREVALUE')
        return report
      },
    }
    const { reporter, passing } = setUp({ store: rejecting })
    for (const name of ['a', 'b', 'c']) publishSession(plainSession(`${name}.example`))
    passing(DAY)
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, sent: 2 })
  })
})

describe('a store of others', () => {
  it.each([true, false])(
    '[RPT-13] that keeps no claim has no report sent twice in a run (save says %s)',
    async (saved) => {
      const report: ClaimedReport = {
        id: 'a1',
        ...counts('a.example', TODAY),
        progress: { attempts: 0, done: [] },
        claim: 'c',
      }
      const store: ReportStore = {
        ...memoryReportStore(),
        claim: async () => report,
        save: async () => saved,
        remove: async () => true,
      }
      const failures = heardOn<StoreFailureEvent>('mta-sts:store-failure')
      const { reporter, transporter } = setUp({ store })
      await expect(reporter.sendReports()).rejects.toMatchObject({ code: 'ESTOREVALUE' })
      expect(transporter.sent).toHaveLength(saved ? 1 : 0)
      expect(failures.length).toBeGreaterThan(0)
    },
  )

  it('that has null for no report has none', async () => {
    const store: ReportStore = { ...memoryReportStore(), claim: async () => null as never }
    expect(await setUp({ store }).reporter.sendReports()).toEqual(NOTHING)
  })
})

describe('slow destinations', () => {
  /** Accepts each mail after this time, by the fake clock. */
  function slowTransporter(delay: number) {
    const sent: string[] = []
    const sendMail = (mail: ReportMail) => {
      sent.push(mail.envelope.to.join())
      return new Promise((resolve) => setTimeout(resolve, delay, { rejected: [] }))
    }
    return { sent, sendMail }
  }

  async function pass(clock: { time: number }, duration: number): Promise<void> {
    for (let passed = 0; passed < duration; passed += MINUTE) {
      clock.time += MINUTE
      await vi.advanceTimersByTimeAsync(MINUTE)
    }
  }

  it.each([6, 11, 29])(
    '[RPT-12] a destination that takes %d minutes for a mail gets one copy from several processes',
    async (minutes) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
      const transporter = slowTransporter(minutes * MINUTE)
      const { reporter, clock, passing, options, store } = setUp({ transporter })
      publishSession()
      await reporter.flush()
      passing(DAY)
      const sending = reporter.sendReports()
      // A process whose clock is ten minutes fast
      const now = () => clock.time + 10 * MINUTE
      const other = new OtherProcess({ ...options, store, now })
      for (let minute = 0; minute < minutes; minute++) {
        await pass(clock, MINUTE)
        expect(await other.sendReports()).toEqual(NOTHING)
      }
      await pass(clock, MINUTE)
      expect(await sending).toEqual({ ...NOTHING, sent: 1 })
      await pass(clock, DAY)
      await other.sendReports()
      expect(transporter.sent).toEqual(['reports@bob.example'])
    },
  )

  it('[RPT-12] an answer after half an hour marks the report as sent', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    const transporter = slowTransporter(50 * MINUTE)
    const { reporter, clock, passing, options, store } = setUp({ transporter })
    publishSession()
    await reporter.flush()
    passing(DAY)
    const sending = reporter.sendReports()
    await pass(clock, 31 * MINUTE)
    expect(await sending).toEqual({ ...NOTHING, postponed: 1 })
    // The next attempt waits for the first mail, which is still being sent
    await pass(clock, 10 * MINUTE)
    const again = reporter.sendReports()
    await pass(clock, 30 * MINUTE)
    expect(await again).toEqual({ ...NOTHING, sent: 1 })
    await new OtherProcess({ ...options, store }).sendReports()
    expect(transporter.sent).toEqual(['reports@bob.example'])
  })

  it('[RPT-12] an answer between two attempts prevents another copy by the other process', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    const transporter = slowTransporter(32 * MINUTE)
    const { reporter, clock, passing, options, store } = setUp({ transporter })
    publishSession()
    await reporter.flush()
    passing(DAY)
    const sending = reporter.sendReports()
    await pass(clock, 30 * MINUTE)
    expect(await sending).toEqual({ ...NOTHING, postponed: 1 })
    await pass(clock, 10 * MINUTE)
    expect(await new OtherProcess({ ...options, store }).sendReports()).toEqual({
      ...NOTHING,
      sent: 1,
    })
    expect(transporter.sent).toEqual(['reports@bob.example'])
  })

  it('[RPT-13] a store that fails for a moment after a delivery: one copy', async () => {
    const store = memoryReportStore()
    let saves = 0
    const flaky: ReportStore = {
      ...store,
      save: async (...args) => {
        if (++saves === 2 || saves === 3) throw new Error('store down')
        return store.save(...args)
      },
    }
    const { reporter, transporter, passing } = setUp({ store: flaky })
    publishSession()
    passing(DAY)
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, sent: 1 })
    for (let n = 0; n < 3; n++) {
      passing(HOUR)
      await reporter.sendReports()
    }
    expect(transporter.sent.length).toBe(1)
  })

  it('[RPT-13] a store that is down for an hour after a delivery: one copy', async () => {
    const store = memoryReportStore()
    let saves = 0
    let down = false
    const flaky: ReportStore = {
      ...store,
      save: async (...args) => {
        if (++saves === 2) down = true
        if (down) throw new Error('store down')
        return store.save(...args)
      },
    }
    const { reporter, transporter, passing } = setUp({ store: flaky })
    publishSession()
    passing(DAY)
    await expect(reporter.sendReports()).rejects.toThrow('store down')
    passing(HOUR)
    down = false
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, sent: 1 })
    expect(transporter.sent.length).toBe(1)
  })
})

describe('close', () => {
  it('[RPT-18] writes the counts before it waits for a server without an answer, and ends within seconds', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const store = memoryReportStore()
    const steps: string[] = []
    const watched: ReportStore = {
      ...store,
      add: async (...args) => {
        await store.add(...args)
        steps.push('added')
      },
      close: async () => {
        steps.push('closed')
      },
    }
    const { reporter, passing, resolver } = setUp({
      store: watched,
      transporter: { sendMail: never },
    })
    resolver.reports('bob.example', 'mailto:a@bob.example,mailto:b@bob.example')
    publishSession()
    passing(DAY)
    void reporter.sendReports()
    await vi.advanceTimersByTimeAsync(0)
    publishSession()
    steps.length = 0
    const closing = reporter.close()
    await vi.advanceTimersByTimeAsync(0)
    await nextTurn()
    expect(steps).toEqual(['added'])
    await vi.advanceTimersByTimeAsync(10_000)
    await closing
    expect(steps).toEqual(['added', 'closed'])
  })

  it('[RPT-18] a store that fails for a moment loses no counts', async () => {
    const store = memoryReportStore()
    let failures = 2
    const add: ReportStore['add'] = async (...args) => {
      if (failures-- > 0) throw new Error('busy')
      return store.add(...args)
    }
    const { reporter } = setUp({ store: { ...store, add } })
    publishSession()
    await reporter.close()
    const stored = store.list?.()[Symbol.asyncIterator]()
    expect(await stored?.next()).toMatchObject({ value: { domain: 'bob.example' } })
  })

  it.each(['add', 'seal', 'claim', 'save', 'close'] as const)(
    '[RPT-18] ends within ten seconds if %s of the store never answers',
    async (method) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
      const store = memoryReportStore()
      let hanging = false
      const hangs: ReportStore = {
        ...store,
        [method]: (...args: unknown[]) =>
          hanging ? never() : Reflect.apply(Object(store)[method], store, args),
      }
      const { reporter, passing } = setUp({ store: hangs })
      publishSession()
      await reporter.flush()
      passing(DAY)
      hanging = true
      const sending = reporter.sendReports().catch(() => undefined)
      await vi.advanceTimersByTimeAsync(0)
      publishSession()
      const closing = reporter.close().catch((error: unknown) => error)
      await vi.advanceTimersByTimeAsync(10_000)
      const error = await closing
      if (method === 'add' || method === 'close') expect(error).toMatchObject({ code: 'ESTORE' })
      else expect(error).toBeUndefined()
      await vi.advanceTimersByTimeAsync(60_000)
      await sending
    },
  )

  it('[RPT-18] stops between two destinations; the next process continues at once', async () => {
    const { reporter, transporter, resolver, passing, options, store } = setUp()
    resolver.reports('bob.example', 'mailto:a@bob.example,mailto:b@bob.example')
    publishSession()
    passing(DAY)
    transporter.failing = () => {
      void reporter.close()
      return undefined
    }
    expect(await reporter.sendReports()).toEqual(NOTHING)
    expect(transporter.sent.map(({ to }) => to)).toEqual(['a@bob.example'])
    transporter.failing = () => undefined
    const next = new OtherProcess({ ...options, store })
    expect(await next.sendReports()).toEqual({ ...NOTHING, sent: 1 })
    expect(transporter.sent.map(({ to }) => to)).toEqual(['a@bob.example', 'b@bob.example'])
  })
})

describe('many domains', () => {
  it('the first flush of many domains yields to the event loop regularly', async () => {
    const { reporter } = setUp()
    for (let n = 0; n < 10_000; n++) publishSession(plainSession(`d${n}.example`))
    let flushing = true
    let turns = 0
    const counting = (async () => {
      while (flushing) {
        await nextTurn()
        turns++
      }
    })()
    await reporter.flush()
    flushing = false
    await counting
    expect(turns).toBeGreaterThanOrEqual(100)
  })
})

describe('different clocks', () => {
  it('[RPT-6] ten minutes apart, with sending every minute at midnight: one report for each domain and day', async () => {
    const { transporter, store, options } = setUp()
    const midnight = Date.UTC(2026, 2, 15)
    const clock = { time: 0 }
    const fast = new OtherProcess({ ...options, now: () => clock.time + 10 * MINUTE })
    const right = new OtherProcess({ ...options, now: () => clock.time })
    const dayOf = (time: number) => new Date(time).toISOString().slice(0, 10)
    const published = new Map<string, number>()
    for (let minute = -60; minute < 24 * 60 + 60; minute++) {
      clock.time = midnight + minute * MINUTE
      for (const now of [clock.time, clock.time + 10 * MINUTE]) {
        await store.add([counts('bob.example', dayOf(now))], LIMITS)
        published.set(dayOf(now), (published.get(dayOf(now)) ?? 0) + 1)
      }
      await right.sendReports()
      await fast.sendReports()
    }
    expect(transporter.days).toEqual([`2026-03-14 bob.example`, `2026-03-15 bob.example`])
    const successes = transporter.sent.map(
      ({ report }) => report.policies[0]?.totalSuccessfulSessionCount,
    )
    expect(successes).toEqual([published.get('2026-03-14'), published.get('2026-03-15')])
  })

  it('[STS-54] a first attempt in the future does not make the attempts endless', async () => {
    const { reporter, transporter, passing, store, clock } = setUp()
    publishSession()
    await reporter.flush()
    passing(DAY)
    await store.seal('2026-03-15', () => ({ id: 'one', notBefore: 0 }))
    const request = { now: clock.time, until: clock.time, early: true }
    const report = (await store.claim(request)) as ClaimedReport
    await store.save(
      report,
      { firstAttemptAt: clock.time + 31 * DAY, attempts: 3, done: [], problem: 'no' },
      clock.time,
    )
    transporter.failing = () => new Error('421 later')
    const sum = { ...NOTHING }
    for (let hour = 0; hour < 48; hour++) {
      const { abandoned, postponed } = await reporter.sendReports()
      sum.abandoned += abandoned
      sum.postponed += postponed
      passing(HOUR)
    }
    expect(sum.abandoned).toBe(1)
    expect(sum.postponed).toBeGreaterThan(0)
  })
})

describe('mta-sts:tlsrpt', () => {
  it('[RPT-19] publishes each run, with sent, postponed and abandoned reports and the reasons', async () => {
    const { reporter, transporter, passing, resolver } = setUp()
    const events = heardOn<TlsReportsEvent>('mta-sts:tlsrpt')
    for (const name of ['a', 'b', 'bob', 'none']) publishSession(plainSession(`${name}.example`))
    transporter.failing = (to) => (to === 'reports@b.example' ? new Error('554 no') : undefined)
    resolver.txt.set('_smtp._tls.bob.example', 'SERVFAIL')
    passing(DAY)
    const summary = await reporter.sendReports()
    expect(summary).toEqual({ sent: 1, postponed: 2, abandoned: 0, unwanted: 1 })
    expect(events.length).toBe(1)
    const [{ reports = [], ...numbers } = {}] = events
    expect(numbers).toEqual(summary)
    const byDomain = Object.fromEntries(reports.map((report) => [report.domain, report]))
    expect(byDomain).toMatchObject({
      'a.example': { day: TODAY, outcome: 'sent', id: expect.stringMatching(/^[0-9a-f]{32}$/) },
      'b.example': {
        outcome: 'postponed',
        error: { message: expect.stringContaining('554 no') },
        nextAttemptAt: new Date(TODAY_NOON + DAY + 5 * MINUTE),
      },
      'bob.example': { outcome: 'postponed', error: { code: 'EDNS' } },
      'none.example': { outcome: 'unwanted' },
    })
    passing(25 * HOUR)
    await reporter.sendReports()
    const abandoned = events[1]?.reports.filter(({ outcome }) => outcome === 'abandoned') ?? []
    expect(abandoned.sort((one, two) => (one.domain < two.domain ? -1 : 1))).toMatchObject([
      { domain: 'b.example', error: { message: expect.stringContaining('554 no') } },
      { domain: 'bob.example', error: { code: 'EDNS' } },
    ])
  })
})
