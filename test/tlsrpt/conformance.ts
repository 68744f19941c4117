/**
 * What every report store must do, whatever is below it. A store of your own should pass it, too.
 */
import { describe, expect, it } from 'vitest'
import type {
  ClaimedReport,
  CountLimits,
  PolicyCounts,
  Portion,
  ReportStore,
  StoredReport,
} from '../../src/tlsrpt/index.js'
import { counts } from './support.js'

export interface Opened {
  store: ReportStore
  /** The same, as another process has it; absent where no other process can */
  other?: ReportStore
}

const LIMITS: CountLimits = { maxPolicies: 16, maxFailures: 1000 }
const DAY_1 = '2026-03-14'
const DAY_2 = '2026-03-15'
const DAY_3 = '2026-03-16'
const NOW = 1_000_000

export function conformance(name: string, open: () => Promise<Opened>): void {
  let ids = 0
  /** Seals all days before, for sending at a time. */
  const sealed = async (store: ReportStore, day: string, notBefore = 0) => {
    const planned: string[] = []
    await store.seal(day, (of, domain) => {
      planned.push(`${of} ${domain}`)
      return { id: `id${++ids}`, notBefore }
    })
    return planned.sort()
  }
  const claim = (store: ReportStore, request: { now?: number; early?: boolean } = {}) => {
    const { now = NOW, early = false } = request
    return store.claim({ now, until: now + 1000, early })
  }
  /** Claims all there is, and says what. */
  const claimAll = async (store: ReportStore, request: { now?: number; early?: boolean } = {}) => {
    const claimed: ClaimedReport[] = []
    for (;;) {
      const report = await claim(store, request)
      if (report === undefined) return claimed
      claimed.push(report)
    }
  }
  const mustClaim = async (store: ReportStore, request: { now?: number; early?: boolean } = {}) => {
    const report = await claim(store, request)
    if (report === undefined) throw new Error('there is no report to claim')
    return report
  }
  const listAll = async (store: ReportStore) => {
    if (store.list === undefined) throw new Error('this store has no list()')
    const reports: StoredReport[] = []
    for await (const report of store.list()) reports.push(report)
    return reports
  }
  const namesOf = (reports: readonly ClaimedReport[]) =>
    reports.map(({ day, domain }) => `${day} ${domain}`).sort()
  const sorted = (policies: readonly PolicyCounts[]) =>
    [...policies]
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .map((one) => ({ ...one, failures: [...one.failures].sort() }))

  describe(`${name}: counting`, () => {
    it('adds up by day, domain, policy and failure', async () => {
      const { store, other = store } = await open()
      const failure = (n: number) =>
        JSON.stringify({ resultType: 'tlsa-invalid', receivingIp: `${n}` })
      const policy = (key: string, successes: number, failures: [string, number][]) => ({
        key,
        policy: { policyType: 'sts', policyDomain: 'a.example', policyString: [key, 'ü "\n'] },
        successes,
        failures,
      })
      const day = { day: DAY_1, domain: 'a.example' }
      await store.add(
        [
          { ...day, policies: [policy('x', 1, [[failure(1), 2]]), policy('y', 3, [])] },
          counts('b.example', DAY_1, 100),
        ],
        LIMITS,
      )
      await other.add(
        [
          {
            ...day,
            policies: [
              policy('x', 10, [
                [failure(1), 20],
                [failure(2), 30],
              ]),
            ],
          },
        ],
        LIMITS,
      )
      await other.add([counts('a.example', DAY_2)], LIMITS)
      expect(await sealed(store, DAY_2)).toEqual([`${DAY_1} a.example`, `${DAY_1} b.example`])
      const reports = await claimAll(store)
      expect(namesOf(reports)).toEqual([`${DAY_1} a.example`, `${DAY_1} b.example`])
      const a = reports.find(({ domain }) => domain === 'a.example')
      const b = reports.find(({ domain }) => domain === 'b.example')
      expect(sorted(a?.policies ?? [])).toEqual([
        policy('x', 11, [
          [failure(1), 22],
          [failure(2), 30],
        ]),
        policy('y', 3, []),
      ])
      expect(b?.policies).toEqual(counts('b.example', DAY_1, 100).policies)
    })

    it('tells no more apart than the limits say, and loses nothing', async () => {
      const { store, other = store } = await open()
      const failure = (n: number, resultType = 'certificate-expired') =>
        JSON.stringify({ resultType, receivingIp: `${n}` })
      const others = (resultType: string) =>
        JSON.stringify({ resultType, failureReasonCode: 'details-omitted' })
      const policy = { policyType: 'sts', policyDomain: 'a.example', policyString: ['a'] }
      const limits = { maxPolicies: 2, maxFailures: 3 }
      const addTo = (target: ReportStore, key: string, failures: [string, number][]) =>
        target.add(
          [
            {
              day: DAY_1,
              domain: 'a.example',
              policies: [{ key, policy, successes: 1, failures }],
            },
          ],
          limits,
        )
      await addTo(store, 'x', [[others('certificate-expired'), 1]])
      for (let n = 0; n < 10; n++) await addTo(n % 2 ? other : store, 'x', [[failure(n), 1]])
      await addTo(other, 'x', [
        [failure(0), 100],
        [failure(11, 'tlsa-invalid'), 1],
      ])
      for (const key of ['y', 'z', 'z', 'w']) await addTo(other, key, [])
      await sealed(store, DAY_2)
      const { policies } = await mustClaim(store)
      const x = policies.find(({ key }) => key === 'x')
      expect(x?.successes).toBe(12)
      expect(new Map(x?.failures)).toEqual(
        new Map([
          [others('certificate-expired'), 8],
          [others('tlsa-invalid'), 1],
          [failure(0), 101],
          [failure(1), 1],
          [failure(2), 1],
        ]),
      )
      expect(policies.length).toBe(3)
      const rest = policies.find(({ policy: { policyString } }) => policyString === undefined)
      expect(rest).toMatchObject({
        policy: { policyType: 'sts', policyDomain: 'a.example' },
        successes: 3,
      })
    })

    it('many at once, from two processes: no count is lost', async () => {
      const { store, other = store } = await open()
      const domains = Array.from({ length: 5 }, (_, n) => `d${n}.example`)
      const additions = Array.from({ length: 60 }, (_, n) =>
        (n % 2 ? store : other).add(
          domains.map((domain) => counts(domain, DAY_1, 7)),
          LIMITS,
        ),
      )
      await Promise.all(additions)
      await sealed(store, DAY_2)
      const reports = await claimAll(store)
      expect(reports.map(({ policies }) => policies[0]?.successes)).toEqual(
        domains.map(() => 60 * 7),
      )
    })

    it('[RPT-16] a portion that is sent again is added once, from whichever connection', async () => {
      const { store, other = store } = await open()
      const portion = (number: number, writer = 'one') => ({ writer, number })
      const add = (to: ReportStore, portion: Portion) =>
        to.add([counts('a.example', DAY_1, 1), counts('b.example', DAY_1, 10)], LIMITS, portion)
      await Promise.all([add(store, portion(1)), add(other, portion(1)), add(store, portion(1))])
      await add(store, portion(2))
      await add(other, portion(2))
      // Of an earlier connection, which arrives late
      await add(store, portion(1))
      await add(other, portion(1, 'two'))
      await sealed(store, DAY_2)
      const reports = await claimAll(store)
      expect(reports.map(({ policies }) => policies[0]?.successes).sort()).toEqual([3, 30])
    })

    it('[RPT-16] a portion is remembered when the day has been closed meanwhile', async () => {
      const { store, other = store } = await open()
      const portion = { writer: 'one', number: 7 }
      await store.add([counts('a.example', DAY_1)], LIMITS, portion)
      await sealed(store, DAY_2)
      await other.add([counts('a.example', DAY_1)], LIMITS, portion)
      expect(await sealed(store, DAY_2)).toEqual([])
      expect((await claimAll(store)).length).toBe(1)
    })

    it('adding to many failures costs no more than adding to few', async () => {
      const { store } = await open()
      const policy = { policyType: 'sts', policyDomain: 'a.example' }
      const failures = (n: number) =>
        Array.from({ length: n }, (_, index): [string, number] => [
          JSON.stringify({ resultType: 'tlsa-invalid', receivingIp: `${index}` }),
          1,
        ])
      const domains = Array.from({ length: 20 }, (_, n) => `d${n}.example`)
      const add = (sessions: number) =>
        store.add(
          domains.map((domain) => ({
            day: DAY_1,
            domain,
            policies: [{ key: 'x', policy, successes: 0, failures: failures(sessions) }],
          })),
          LIMITS,
        )
      await add(1000)
      await add(1)
      await sealed(store, DAY_2)
      for (const { policies } of await claimAll(store)) {
        const [{ failures } = { failures: [] }] = policies
        expect(failures.length).toBe(1000)
        expect(failures.reduce((sum, [, sessions]) => sum + sessions, 0)).toBe(1001)
      }
    })

    it('takes nothing, and much', async () => {
      const { store } = await open()
      await store.add([], LIMITS)
      const domains = Array.from({ length: 250 }, (_, n) => `d${n}.example`)
      await store.add(
        domains.map((domain) => counts(domain, DAY_1)),
        LIMITS,
      )
      expect(await sealed(store, DAY_2)).toEqual(
        domains.map((domain) => `${DAY_1} ${domain}`).sort(),
      )
      expect((await claimAll(store)).length).toBe(250)
    })
  })

  describe(`${name}: closing days`, () => {
    it('[RPT-13] each session is in one report: what comes later makes another one', async () => {
      const { store, other = store } = await open()
      await store.add([counts('a.example', DAY_1, 5)], LIMITS)
      await sealed(store, DAY_2)
      expect(await sealed(other, DAY_2)).toEqual([])
      await other.add([counts('a.example', DAY_1, 3), counts('a.example', DAY_2, 4)], LIMITS)
      expect(await sealed(store, DAY_2)).toEqual([`${DAY_1} a.example`])
      expect(await sealed(store, DAY_3)).toEqual([`${DAY_2} a.example`])
      const reports = await claimAll(store)
      expect(reports.map(({ policies }) => policies[0]?.successes).sort()).toEqual([3, 4, 5])
      expect(new Set(reports.map(({ id }) => id)).size).toBe(3)
    })

    it('two processes at once: one report', async () => {
      const { store, other = store } = await open()
      await store.add(
        Array.from({ length: 30 }, (_, n) => counts(`d${n}.example`, DAY_1)),
        LIMITS,
      )
      await Promise.all([sealed(store, DAY_2), sealed(other, DAY_2), sealed(store, DAY_2)])
      expect((await claimAll(other)).length).toBe(30)
    })
  })

  describe(`${name}: claiming`, () => {
    const oneReport = async (notBefore = 0) => {
      const opened = await open()
      await opened.store.add([counts('a.example', DAY_1)], LIMITS)
      await sealed(opened.store, DAY_2, notBefore)
      return { other: opened.store, ...opened }
    }

    it('begins without progress', async () => {
      const { store } = await oneReport()
      expect((await mustClaim(store)).progress).toEqual({ attempts: 0, done: [] })
    })

    it('nothing where nothing is', async () => {
      const { store } = await open()
      expect(await claim(store)).toBeUndefined()
      expect(await claim(store, { early: true })).toBeUndefined()
    })

    it('[RPT-14] not before its time, unless asked for early', async () => {
      const { store, other } = await oneReport(NOW + 1)
      expect(await claim(store)).toBeUndefined()
      expect(await claim(store, { early: true })).toBeDefined()
      expect(await claim(other, { early: true })).toBeUndefined()
      const later = await oneReport(NOW + 1)
      expect(await claim(later.store, { now: NOW + 1 })).toBeDefined()
    })

    it('[RPT-13] by one process at a time, until the claim is over', async () => {
      const { store, other } = await oneReport()
      const first = await mustClaim(store)
      expect(await claim(other)).toBeUndefined()
      expect(await claim(store, { now: NOW + 999 })).toBeUndefined()
      expect(await claim(other, { now: NOW + 999, early: true })).toBeUndefined()
      const second = await mustClaim(other, { now: NOW + 1000 })
      expect(second).toEqual({ ...first, claim: second.claim })
      expect(second.claim).not.toBe(first.claim)
    })

    it('[RPT-13] many at once: each report once', async () => {
      const { store, other = store } = await open()
      await store.add(
        Array.from({ length: 40 }, (_, n) => counts(`d${n}.example`, DAY_1)),
        LIMITS,
      )
      await sealed(store, DAY_2)
      const claimed = await Promise.all(
        [store, other, store, other, store].map((one) => claimAll(one)),
      )
      expect(claimed.flat().length).toBe(40)
      expect(new Set(claimed.flat().map(({ id }) => id)).size).toBe(40)
    })

    it('[RPT-13] what was saved is there for the next one, at the time that was said', async () => {
      const { store, other } = await oneReport()
      const first = await mustClaim(store)
      const progress = { firstAttemptAt: 5, attempts: 2, done: ['mailto:a@a.example'] }
      expect(await store.save(first, progress, NOW + 5000)).toBe(true)
      expect(await claim(other, { now: NOW + 4999, early: true })).toBeUndefined()
      expect(await claim(other, { now: NOW + 5000 })).toMatchObject({ id: first.id, progress })
    })

    it('[RPT-13] who has lost his claim changes nothing', async () => {
      const { store, other } = await oneReport()
      const lost = await mustClaim(store)
      const second = await mustClaim(other, { now: NOW + 1000 })
      expect(await store.save(lost, { attempts: 9, done: [] }, 0)).toBe(false)
      expect(await store.remove(lost)).toBe(false)
      expect(await claim(store, { now: NOW + 1500 })).toBeUndefined()
      expect(await other.save(second, { attempts: 1, done: [] }, NOW + 2000)).toBe(true)
      expect(await claim(store, { now: NOW + 2000 })).toMatchObject({ progress: { attempts: 1 } })
    })

    it('[STS-54] a claim that reaches far into the future is not believed', async () => {
      const { store, other } = await oneReport()
      const month = 31 * 24 * 3_600_000
      const fast = await store.claim({ now: NOW + month, until: NOW + month + 1000, early: false })
      const second = await mustClaim(other)
      expect(second.id).toBe(fast?.id)
      expect(await claim(store)).toBeUndefined()
    })

    it('why an attempt failed is there for the next one', async () => {
      const { store, other } = await oneReport()
      const first = await mustClaim(store)
      const progress = { firstAttemptAt: 5, attempts: 1, done: [], problem: '421 "later" ü' }
      await store.save(first, progress, NOW + 5000)
      expect(await claim(other, { now: NOW + 5000 })).toMatchObject({ progress })
    })

    it('[RPT-13] removed is removed', async () => {
      const { store, other } = await oneReport()
      const report = await mustClaim(store)
      expect(await store.remove(report)).toBe(true)
      expect(await store.remove(report)).toBe(false)
      expect(await store.save(report, { attempts: 1, done: [] }, 0)).toBe(false)
      expect(await claim(other, { now: NOW * 2, early: true })).toBeUndefined()
    })
  })

  describe(`${name}: for operators`, () => {
    it('[RPT-19] lists what is counted, waits, is claimed and has failed', async () => {
      const { store, other = store } = await open()
      for (const domain of ['a.example', 'b.example', 'c.example']) {
        await store.add([counts(domain, DAY_1)], LIMITS)
      }
      await store.seal(DAY_2, (_, domain) => ({
        id: domain.slice(0, 1),
        notBefore: domain === 'a.example' ? NOW + 1 : 0,
      }))
      await store.add([counts('a.example', DAY_2)], LIMITS)
      const claimed = [await mustClaim(store), await mustClaim(store)]
      const failing = claimed.find(({ id }) => id === 'c')
      if (failing === undefined) throw new Error('c was not claimed')
      const progress = {
        firstAttemptAt: NOW,
        attempts: 1,
        done: ['mailto:x@c.example'],
        problem: '421',
      }
      await store.save(failing, progress, NOW + 300)
      const listed = await listAll(other)
      expect(listed.sort((a, b) => ((a.id ?? '') < (b.id ?? '') ? -1 : 1))).toMatchObject([
        { day: DAY_2, domain: 'a.example', state: 'counting' },
        { id: 'a', day: DAY_1, domain: 'a.example', state: 'waiting', notBefore: NOW + 1 },
        { id: 'b', state: 'claimed', notBefore: NOW + 1000, progress: { attempts: 0 } },
        { id: 'c', state: 'failed', notBefore: NOW + 300, progress },
      ])
    })

    it('makes due what waits or has failed, and not what is claimed', async () => {
      const { store, other = store } = await open()
      await store.add([counts('a.example', DAY_1)], LIMITS)
      await store.seal(DAY_2, () => ({ id: 'a', notBefore: NOW + 5000 }))
      expect(await other.makeDue?.('a', NOW)).toBe(true)
      const report = await mustClaim(store)
      expect(await other.makeDue?.('a', NOW)).toBe(false)
      await store.save(report, { attempts: 1, done: [], problem: 'no' }, NOW + 5000)
      expect(await claim(store)).toBeUndefined()
      expect(await other.makeDue?.('a', NOW)).toBe(true)
      expect(await claim(store)).toMatchObject({ id: 'a' })
      expect(await other.makeDue?.('b', NOW)).toBe(false)
    })

    it('drops a report in any state', async () => {
      const { store, other = store } = await open()
      for (const domain of ['a.example', 'b.example'])
        await store.add([counts(domain, DAY_1)], LIMITS)
      await store.seal(DAY_2, (_, domain) => ({ id: domain.slice(0, 1), notBefore: 0 }))
      const claimed = await mustClaim(store)
      expect(await other.drop?.('a')).toBe(true)
      expect(await other.drop?.('b')).toBe(true)
      expect(await other.drop?.('b')).toBe(false)
      expect(await store.save(claimed, { attempts: 1, done: [] }, 0)).toBe(false)
      expect(await listAll(store)).toEqual([])
    })
  })
}
