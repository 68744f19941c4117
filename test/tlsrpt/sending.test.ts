import { afterEach, describe, expect, it, vi } from 'vitest'
import { memoryReportStore, type ReportStore } from '../../src/tlsrpt/index.js'
import { nextAttempt, openDay, sendingTime } from '../../src/tlsrpt/schedule.js'
import { LIMITS, MINUTE, NOTHING, setUp } from './reporter-setup.js'
import {
  counts,
  DAY,
  failedSession,
  HOUR,
  OtherProcess,
  plainSession,
  publishPolicyFailure,
  publishSession,
  session,
  TODAY,
} from './support.js'

afterEach(() => {
  vi.useRealTimers()
})

describe('a day', () => {
  it('[RPT-6] is reported once, after its end', async () => {
    const { reporter, transporter, passing } = setUp()
    publishSession()
    publishSession(failedSession())
    expect(await reporter.sendReports()).toEqual(NOTHING)
    passing(DAY)
    publishSession()
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, sent: 1 })
    expect(await reporter.sendReports()).toEqual(NOTHING)
    expect(transporter.sent.length).toBe(1)
    expect(transporter.sent[0]).toMatchObject({
      to: 'reports@bob.example',
      report: {
        organizationName: 'Sender Ltd',
        contactInfo: 'postmaster@sender.example',
        dateRange: {
          start: new Date(`${TODAY}T00:00:00Z`),
          end: new Date(`${TODAY}T23:59:59Z`),
        },
        reportId: expect.stringMatching(/^[0-9a-f]{32}@sender\.example$/),
        policies: [{ totalSuccessfulSessionCount: 1, totalFailureSessionCount: 1 }],
      },
    })
  })

  it('[RPT-6] is not over before every process has stored its counts', () => {
    const midnight = Date.UTC(2026, 2, 15)
    expect(openDay(midnight + 5 * MINUTE - 1)).toBe('2026-03-14')
    expect(openDay(midnight + 5 * MINUTE)).toBe('2026-03-15')
  })

  it('[RPT-6] gets a second report for late counts, so that nothing is lost', async () => {
    const { reporter, transporter, store, passing } = setUp()
    publishSession(plainSession('bob.example'))
    await reporter.flush()
    passing(DAY)
    await reporter.sendReports()
    // Of a process that could not reach the store for a day
    await store.add([counts('bob.example', TODAY, 3)], LIMITS)
    await reporter.sendReports()
    expect(transporter.days).toEqual([`${TODAY} bob.example`, `${TODAY} bob.example`])
    const ids = transporter.sent.map(({ report }) => report.reportId)
    expect(new Set(ids).size).toBe(2)
    const successes = transporter.sent.map(
      ({ report }) => report.policies[0]?.totalSuccessfulSessionCount,
    )
    expect(successes).toEqual([1, 3])
  })

  it('is not reported to a domain without a TLSRPT record, which is looked up once', async () => {
    const { reporter, transporter, resolver, passing } = setUp()
    publishSession(plainSession('carol.example'))
    passing(DAY)
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, unwanted: 1 })
    expect(await reporter.sendReports()).toEqual(NOTHING)
    expect(transporter.sent).toEqual([])
    expect(resolver.questions).toEqual(['_smtp._tls.carol.example'])
  })

  it('of successes only is reported unless `days` is with-failures', async () => {
    const { reporter, transporter, resolver, passing } = setUp({ days: 'with-failures' })
    resolver.reports('carol.example', 'mailto:reports@carol.example')
    publishSession()
    publishSession(plainSession('carol.example'))
    const { policy } = plainSession('carol.example')
    const failure = { resultType: 'sts-policy-fetch-error' } as const
    publishPolicyFailure({ policyDomain: 'carol.example', policy, failure })
    passing(DAY)
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, sent: 1, unwanted: 1 })
    expect(transporter.days).toEqual([`${TODAY} carol.example`])
    expect(resolver.questions).toEqual(['_smtp._tls.carol.example'])
  })
})

describe('the destinations', () => {
  it('[RPT-1] all get the report once', async () => {
    const { reporter, transporter, resolver, passing } = setUp()
    resolver.reports('bob.example', 'mailto:a@bob.example, mailto:b@elsewhere.example')
    publishSession()
    passing(DAY)
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, sent: 1 })
    expect(transporter.sent.map(({ to }) => to)).toEqual(['a@bob.example', 'b@elsewhere.example'])
  })

  it('[RPT-12] [RPT-13] are tried again if they failed; others are not', async () => {
    const { reporter, transporter, resolver, passing, logged } = setUp()
    resolver.reports('bob.example', 'mailto:a@bob.example,mailto:b@bob.example')
    transporter.failing = (to) => (to === 'a@bob.example' ? new Error('421 \u001b[31m') : undefined)
    publishSession()
    passing(DAY)
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, postponed: 1 })
    expect(logged).toEqual([
      expect.stringMatching(
        /bob\.example of 2026-03-14 was not delivered \(mailto:a@bob\.example did not take it: 421 \\u\{1b\}\[31m\); it is tried again at 2026-03-15T12:05:00/,
      ),
    ])
    passing(4 * MINUTE)
    expect(await reporter.sendReports()).toEqual(NOTHING)
    passing(MINUTE)
    transporter.failing = () => undefined
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, sent: 1 })
    expect(transporter.sent.map(({ to }) => to)).toEqual(['b@bob.example', 'a@bob.example'])
    const [first, second] = transporter.sent
    expect(second?.report).toEqual(first?.report)
  })

  it('are limited to ten: a record must not direct a flood at others', async () => {
    const { reporter, transporter, resolver, passing } = setUp()
    const uris = Array.from({ length: 50 }, (_, n) => `mailto:m${n}@victim.example`)
    resolver.reports('bob.example', uris.join())
    publishSession()
    passing(DAY)
    await reporter.sendReports()
    expect(transporter.sent.map(({ to }) => to)).toEqual(
      uris.slice(0, 10).map((uri) => uri.slice('mailto:'.length)),
    )
  })

  it('[RPT-13] follow a record that has changed meanwhile', async () => {
    const { reporter, transporter, resolver, passing } = setUp()
    resolver.reports('bob.example', 'mailto:a@bob.example,mailto:b@bob.example')
    transporter.failing = (to) => (to === 'b@bob.example' ? new Error('no') : undefined)
    publishSession()
    passing(DAY)
    await reporter.sendReports()
    resolver.reports('bob.example', 'mailto:a@bob.example,mailto:c@bob.example')
    passing(HOUR)
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, sent: 1 })
    expect(transporter.sent.map(({ to }) => to)).toEqual(['a@bob.example', 'c@bob.example'])
  })

  it('count as failed if the transporter resolves with a rejected recipient', async () => {
    const sendMail = async () => ({ accepted: [], rejected: ['reports@bob.example'] })
    const { reporter, passing } = setUp({ transporter: { sendMail } })
    publishSession()
    passing(DAY)
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, postponed: 1 })
  })

  it('[RPT-12] are looked up again after a failed lookup', async () => {
    const { reporter, resolver, passing } = setUp()
    resolver.txt.set('_smtp._tls.bob.example', 'SERVFAIL')
    publishSession()
    passing(DAY)
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, postponed: 1 })
    resolver.reports('bob.example', 'mailto:reports@bob.example')
    passing(HOUR)
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, sent: 1 })
  })
})

describe('further attempts', () => {
  it('[RPT-12] go on for 24 hours at growing intervals, then end', async () => {
    const { reporter, transporter, passing, clock, logged } = setUp()
    const tried: number[] = []
    transporter.failing = () => {
      tried.push(clock.time)
      return new Error('554 no')
    }
    publishSession()
    passing(DAY)
    const begin = clock.time
    const sum = { ...NOTHING }
    for (let minutes = 0; minutes < 48 * 60; minutes++) {
      const { postponed, abandoned } = await reporter.sendReports()
      sum.postponed += postponed
      sum.abandoned += abandoned
      passing(MINUTE)
    }
    const hours = tried.map((time) => (time - begin) / HOUR)
    const waits = hours.slice(1).map((hour, index) => hour - (hours[index] ?? 0))
    expect(waits.map((wait) => Math.round(wait * 60))).toEqual([
      5, 10, 20, 40, 80, 160, 240, 240, 240, 240,
    ])
    expect(hours.at(-1)).toBeLessThanOrEqual(24)
    expect(sum).toEqual({ ...NOTHING, postponed: 10, abandoned: 1 })
    expect(logged.at(-1)).toMatch(/it is given up$/)
  })

  it('[RPT-12] vary the intervals by a fifth', () => {
    const state = { firstAttemptAt: 0, attempts: 1 }
    expect(nextAttempt(state, 0, 0)).toBe(4 * MINUTE)
    expect(nextAttempt(state, 0, 0.999999)).toBeLessThanOrEqual(6 * MINUTE)
    expect(nextAttempt({ ...state, attempts: 100 }, 0, 0.5)).toBe(4 * HOUR)
    expect(nextAttempt(state, DAY - 5 * MINUTE, 0.5)).toBe(DAY)
    expect(nextAttempt(state, DAY - 5 * MINUTE + 1, 0.5)).toBeUndefined()
  })

  it('[RPT-13] include a report that waited for days because no process ran', async () => {
    const { reporter, transporter, store, passing, options } = setUp()
    transporter.failing = () => new Error('421 later')
    publishSession()
    passing(DAY)
    await reporter.sendReports()
    await reporter.flush()
    passing(5 * DAY)
    transporter.failing = () => undefined
    const next = new OtherProcess({ ...options, store })
    expect(await next.sendReports()).toEqual({ ...NOTHING, sent: 1 })
  })
})

/** A store that dies like a process, before or after the n-th call of a method. */
function mortal(store: ReportStore, at: { method: keyof ReportStore; when: 'before' | 'after' }) {
  return new Proxy(store, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name)
      if (name !== at.method || typeof method !== 'function') return method
      return async (...args: unknown[]) => {
        if (at.when === 'after') await method.apply(target, args)
        throw new Error('died')
      }
    },
  })
}

describe('a process that dies', () => {
  it.each([
    // A report that was claimed waits until the claim is over
    { method: 'seal', when: 'before', atOnce: 1 },
    { method: 'seal', when: 'after', atOnce: 1 },
    { method: 'claim', when: 'before', atOnce: 1 },
    { method: 'claim', when: 'after', atOnce: 0 },
    { method: 'save', when: 'before', atOnce: 0 },
    { method: 'save', when: 'after', atOnce: 0 },
    { method: 'remove', when: 'before', atOnce: 1 },
    { method: 'remove', when: 'after', atOnce: 1 },
  ] as const)(
    '[RPT-13] $when $method: the next process sends the report, once',
    async ({ method, when, atOnce }) => {
      const { reporter, transporter, store, passing, options } = setUp()
      publishSession()
      await reporter.flush()
      passing(DAY)
      const dying = new OtherProcess({ ...options, store: mortal(store, { method, when }) })
      await expect(dying.sendReports()).rejects.toThrow('died')
      await reporter.sendReports()
      expect(transporter.sent.length).toBe(atOnce)
      passing(15 * MINUTE)
      await reporter.sendReports()
      expect(transporter.sent.length).toBe(1)
    },
  )

  it('[RPT-13] between sending and saving: the second copy has the same report-id', async () => {
    const { reporter, transporter, store, passing, options } = setUp()
    publishSession()
    publishSession(failedSession())
    await reporter.flush()
    passing(DAY)
    let saves = 0
    const dying = new OtherProcess({
      ...options,
      store: {
        ...store,
        save: async (...args) => {
          if (++saves >= 2) throw new Error('died')
          return store.save(...args)
        },
      },
    })
    await expect(dying.sendReports()).rejects.toThrow('died')
    expect(await reporter.sendReports()).toEqual(NOTHING)
    passing(15 * MINUTE)
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, sent: 1 })
    const [first, second] = transporter.sent
    expect(transporter.sent.length).toBe(2)
    expect(second?.report).toEqual(first?.report)
    expect(second?.mail.messageId).toBe(first?.mail.messageId)
    const withoutDate = (raw: Buffer | undefined) => raw?.toString().replace(/^Date: .*$/m, '')
    expect(withoutDate(second?.mail.raw)).toBe(withoutDate(first?.mail.raw))
  })

  it('[RPT-13] a process that has lost its claim sends to no further destination', async () => {
    const { reporter, transporter, resolver, store, passing, clock } = setUp()
    resolver.reports('bob.example', 'mailto:a@bob.example,mailto:b@bob.example')
    publishSession()
    passing(DAY)
    transporter.failing = (to) => {
      // It took longer than the claim, and another process has the report
      if (to === 'a@bob.example') {
        clock.time += HOUR
        void store.claim({ now: clock.time, until: clock.time + HOUR, early: false })
      }
      return undefined
    }
    expect(await reporter.sendReports()).toEqual(NOTHING)
    expect(transporter.sent.map(({ to }) => to)).toEqual(['a@bob.example'])
  })
})

describe('many processes', () => {
  it('[RPT-13] on one store send each report once', async () => {
    const { store, transporter, resolver, clock, options } = setUp()
    const domains = Array.from({ length: 100 }, (_, n) => `d${n}.example`)
    for (const domain of domains) resolver.reports(domain, `mailto:r@${domain}`)
    await store.add(
      domains.map((domain) => counts(domain, TODAY)),
      LIMITS,
    )
    clock.time += DAY
    const others = Array.from({ length: 10 }, () => new OtherProcess(options))
    const summaries = await Promise.all(others.map((other) => other.sendReports()))
    expect(summaries.reduce((sum, { sent }) => sum + sent, 0)).toBe(100)
    expect(transporter.days.sort()).toEqual(domains.map((domain) => `${TODAY} ${domain}`).sort())
  })
})

describe('automatic sending', () => {
  /** Runs the reporter's timers and clock through this much time. */
  async function pass(clock: { time: number }, duration: number, step = MINUTE): Promise<void> {
    for (let passed = 0; passed < duration; passed += step) {
      clock.time += step
      await vi.advanceTimersByTimeAsync(step)
    }
  }

  it('[RPT-14] spreads the reports of a day over hours, none at midnight', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    let n = 0
    const { store, transporter, resolver, clock } = setUp({
      sending: 'automatic',
      // The golden ratio: as even as possible, and the same in every run
      random: () => (n++ * 0.618033988749895) % 1,
    })
    const sentAt: number[] = []
    transporter.failing = () => {
      sentAt.push(clock.time)
      return undefined
    }
    const domains = Array.from({ length: 200 }, (_, index) => `d${index}.example`)
    for (const domain of domains) resolver.reports(domain, `mailto:r@${domain}`)
    await store.add(
      domains.map((domain) => counts(domain, TODAY)),
      LIMITS,
    )
    await pass(clock, 18 * HOUR)
    const midnight = Date.UTC(2026, 2, 15)
    const hours = sentAt.map((time) => Math.floor((time - midnight - 5 * MINUTE) / HOUR))
    expect(sentAt.length).toBe(200)
    expect(Math.min(...sentAt)).toBeGreaterThanOrEqual(midnight + 5 * MINUTE)
    for (const hour of [0, 1, 2, 3]) {
      const inThisHour = hours.filter((one) => one === hour).length
      expect(inThisHour).toBeGreaterThan(40)
      expect(inThisHour).toBeLessThan(60)
    }
  })

  it('[RPT-14] happens between five minutes and the spread after the day', () => {
    const midnight = Date.UTC(2026, 2, 15)
    expect(sendingTime(TODAY, 4 * HOUR, 0)).toBe(midnight + 5 * MINUTE)
    expect(sendingTime(TODAY, 4 * HOUR, 0.5)).toBe(midnight + 5 * MINUTE + 2 * HOUR)
    expect(sendingTime(TODAY, 4 * HOUR, 0.9999)).toBeLessThan(midnight + 5 * MINUTE + 4 * HOUR)
  })

  it('[RPT-13] [RPT-14] sends one report for each day of two weeks', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    let seed = 42
    const random = () => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31
      return seed / 2 ** 31
    }
    const { store, transporter, resolver, clock, options } = setUp({
      sending: 'automatic',
      random,
      flushInterval: MINUTE,
    })
    const domains = ['bob.example', 'carol.example', 'dan.example']
    for (const domain of domains) resolver.reports(domain, `mailto:r@${domain}`)
    // A second process on the store; and one destination in four attempts fails
    const second = new OtherProcess({ ...options, store })
    transporter.failing = () => (random() < 0.25 ? new Error('421 later') : undefined)
    const published = new Map<string, number>()
    for (let hour = 0; hour < 14 * 24; hour++) {
      const day = new Date(clock.time).toISOString().slice(0, 10)
      for (const domain of domains) {
        publishSession(plainSession(domain))
        const key = `${day} ${domain}`
        published.set(key, (published.get(key) ?? 0) + 1)
      }
      await pass(clock, HOUR / 2, HOUR / 4)
      await second.sendReports({ early: false })
      await pass(clock, HOUR / 2, HOUR / 4)
    }
    await pass(clock, 2 * DAY, HOUR / 4)
    const reported = transporter.sent.map(({ report }) => {
      const { policyDomain, totalSuccessfulSessionCount } = Object(report.policies[0])
      const day = report.dateRange.start.toISOString().slice(0, 10)
      return [`${day} ${policyDomain}`, totalSuccessfulSessionCount] as const
    })
    expect([...reported].sort()).toEqual([...published].sort())
    expect(new Set(transporter.sent.map(({ report }) => report.reportId)).size).toBe(15 * 3)
  })

  it('is off with sending: manual', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    const { transporter, clock, reporter } = setUp({ sending: 'manual' })
    publishSession()
    await pass(clock, 2 * DAY)
    expect(transporter.sent).toEqual([])
    expect(await reporter.sendReports()).toEqual({ ...NOTHING, sent: 1 })
  })

  it('goes on after a failure of the store, and reports it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    const store = memoryReportStore()
    let down = false
    const flaky: ReportStore = {
      ...store,
      add: (...args) => (down ? Promise.reject(new Error('store down')) : store.add(...args)),
      seal: (...args) => (down ? Promise.reject(new Error('store down')) : store.seal(...args)),
    }
    const { transporter, clock, logged } = setUp({ store: flaky, sending: 'automatic' })
    down = true
    publishSession()
    await pass(clock, HOUR)
    publishSession()
    await pass(clock, HOUR)
    expect(logged).toContain('The store of TLS reports failed (add): store down')
    expect(logged).toContain('The store of TLS reports failed (send): store down')
    down = false
    publishSession()
    await pass(clock, DAY)
    expect(transporter.sent.map(({ report }) => report.policies)).toMatchObject([
      [{ totalSuccessfulSessionCount: 3 }],
    ])
  })
})

describe('flush and close', () => {
  it('[RPT-13] close stores the last counts, and a second close waits for the first', async () => {
    const { reporter, store } = setUp()
    publishSession()
    publishSession()
    await Promise.all([reporter.close(), reporter.close()])
    await store.seal('2026-03-15', () => ({ id: 'one', notBefore: 0 }))
    const report = await store.claim({ now: 0, until: 1, early: false })
    expect(report?.policies[0]?.successes).toBe(2)
  })

  it('stop the counting and the timers after close', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    const { reporter, store } = setUp({ sending: 'automatic' })
    expect(vi.getTimerCount()).toBe(2)
    await reporter.close()
    expect(vi.getTimerCount()).toBe(0)
    publishSession()
    await store.seal('2026-03-15', () => ({ id: 'one', notBefore: 0 }))
    expect(await store.claim({ now: 0, until: 1, early: false })).toBeUndefined()
  })

  it('do not keep the process alive', () => {
    const timers = () =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers()
    setUp({ sending: 'automatic' })
    expect(timers()).toBe(before)
  })

  it('[RPT-13] close waits for the current report, and starts no other', async () => {
    const { reporter, transporter, resolver, passing } = setUp()
    for (let n = 0; n < 20; n++) {
      resolver.reports(`d${n}.example`, `mailto:r@d${n}.example`)
      publishSession(plainSession(`d${n}.example`))
    }
    passing(DAY)
    const sending = reporter.sendReports()
    let closing: Promise<void> | undefined
    transporter.failing = () => {
      closing ??= reporter.close()
      return undefined
    }
    const { sent } = await sending
    await closing
    expect(sent).toBeGreaterThan(0)
    expect(sent).toBeLessThanOrEqual(8)
    expect(transporter.sent.length).toBe(sent)
  })

  it('counts that the store refused are added up and written the next time', async () => {
    const store = memoryReportStore()
    const failures: unknown[] = []
    let down = true
    const added: number[] = []
    const flaky: ReportStore = {
      ...store,
      add: async (batch, limits) => {
        if (down) throw new Error('store down')
        added.push(batch.length)
        await store.add(batch, limits)
      },
    }
    const { reporter, transporter, passing } = setUp({ store: flaky })
    for (let n = 0; n < 3; n++) {
      publishSession()
      publishSession(failedSession({ address: `192.0.2.${n}` }))
      failures.push(await reporter.flush().catch((error: unknown) => error))
    }
    expect(failures.map(String)).toEqual(Array(3).fill('Error: store down'))
    down = false
    passing(DAY)
    await reporter.sendReports()
    // The first portion may have been added though its reply was lost: it is sent again unchanged.
    // Later counts are one domain, however many attempts there were
    expect(added).toEqual([1, 1])
    expect(transporter.sent[0]?.report.policies).toMatchObject([
      { totalSuccessfulSessionCount: 3, totalFailureSessionCount: 3 },
    ])
  })

  it('a store that is down for long does not fill the memory', async () => {
    const store = memoryReportStore()
    const down: ReportStore = { ...store, add: () => Promise.reject(new Error('store down')) }
    const { reporter, logged } = setUp(
      { store: down, maxDomains: 3 },
      { onCloseError: () => undefined },
    )
    for (const domain of ['a', 'b', 'c', 'd', 'e', 'a']) {
      publishSession(plainSession(`${domain}.example`))
      await expect(reporter.flush()).rejects.toThrow('store down')
    }
    expect(logged.filter((line) => line.startsWith('1 sessions were not counted')).length).toBe(2)
    await expect(reporter.close()).rejects.toThrow('store down')
  })

  it('report sessions that could not be counted', async () => {
    const { reporter, logged } = setUp({ maxDomains: 1 })
    publishSession(session())
    publishSession(plainSession('carol.example'))
    publishSession({ nonsense: true })
    await reporter.flush()
    expect(logged).toEqual([expect.stringMatching(/^2 sessions were not counted/)])
  })
})
