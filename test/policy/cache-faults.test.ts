/** The cache under faults: every fault in every state, a month of them, and a flood. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { MtaStsOptions } from '../../src/options.js'
import type { PolicyLookup } from '../../src/policy/lookup.js'
import { Refresher } from '../../src/policy/renewal.js'
import { memoryStore } from '../../src/policy/stores/memory.js'
import type { MailDomain, NamedPolicyHostFault } from '../../src/testing/index.js'
import {
  announcing,
  type CacheUnderTest,
  DAY,
  dnsError,
  emptyResolver,
  failureOf,
  HOUR,
  ManualClock,
  MINUTE,
  makeCache,
  noConnect,
  type ScriptedResolver,
  Stage,
  said,
  scriptedResolver,
  seededRandom,
  storedPolicy,
  turns,
  WEEK,
  watchedStore,
} from './scripted-network.js'

let stage: Stage
let bob: MailDomain
/** The world's resolver, counted; it answers for the policy host's address at once where it may */
let resolver: ScriptedResolver
let askForAddress = false
/**
 * The name servers do not answer. Not a fault of the world, which would affect c-ares for a while
 */
let silent = false

beforeAll(async () => {
  stage = await Stage.open()
  bob = stage.domain('bob.example')
  resolver = scriptedResolver((question) => {
    const [type = '', name = ''] = question.split(' ')
    if (type === 'TXT' && silent) return new Promise(() => undefined)
    if (type === 'TXT') return stage.resolver.resolveTxt(name)
    if (type === 'AAAA') return dnsError('ENODATA')
    return askForAddress ? stage.resolver.resolve4(name) : [bob.policyHost.ipv4]
  })
})
afterAll(() => stage.close())

/**
 * The effect of a fault on discovery: `gone`, DNS has no record; `failed`, DNS gives no answer;
 * `invalid`, the record is invalid; `https`, the record is valid but the policy cannot be fetched.
 */
interface Fault {
  name: string
  kind: 'gone' | 'failed' | 'invalid' | 'https'
  /** Result type and reason of the failure */
  failure: string
  inflict(): void
  /** The fault is in the address of the policy host */
  address?: true
  /** The operation that times out, with a short timeout */
  stalls?: 'dns' | 'https'
}

const GONE = 'sts-policy-fetch-error record-gone'
const DNS = 'sts-policy-fetch-error dns-failure'
const RECORD = `_mta-sts.bob.example`
const POLICY_HOST = 'mta-sts.bob.example'

function https(
  name: string,
  fault: NamedPolicyHostFault,
  failure: string,
  more: Partial<Fault> = {},
): Fault {
  return { name, kind: 'https', failure, inflict: () => bob.policyHost.fails(fault), ...more }
}

const FAULTS: Fault[] = [
  {
    name: 'DNS: NXDOMAIN',
    kind: 'gone',
    failure: GONE,
    inflict: () => bob.dns.fails('nxdomain'),
  },
  {
    name: 'DNS: NODATA',
    kind: 'gone',
    failure: GONE,
    inflict: () => {
      // The name exists, with another type
      stage.world.dns.set(RECORD, 'A', ['192.0.2.99'])
      stage.world.dns.set(RECORD, 'TXT', [])
    },
  },
  {
    name: 'DNS: unrelated TXT records',
    kind: 'gone',
    failure: GONE,
    inflict: () => stage.world.dns.set(RECORD, 'TXT', ['v=spf1 -all', 'v=STSv10; id=n1;']),
  },
  {
    name: 'DNS: SERVFAIL',
    kind: 'failed',
    failure: DNS,
    inflict: () => bob.dns.fails('servfail'),
  },
  { name: 'DNS: REFUSED', kind: 'failed', failure: DNS, inflict: () => bob.dns.fails('refused') },
  {
    name: 'DNS: timeout',
    kind: 'failed',
    failure: DNS,
    inflict: () => {
      silent = true
    },
    stalls: 'dns',
  },
  {
    name: 'DNS: doubled record',
    kind: 'invalid',
    failure: 'sts-policy-invalid several-records',
    inflict: () => bob.dns.fails('two-records'),
  },
  {
    name: 'DNS: malformed record',
    kind: 'invalid',
    failure: 'sts-policy-invalid malformed-record',
    inflict: () => bob.dns.fails('malformed-record'),
  },
  {
    name: 'policy host: NXDOMAIN',
    kind: 'https',
    failure: 'sts-policy-fetch-error nxdomain',
    inflict: () => bob.dns.fails('nxdomain', 'policy-host'),
    address: true,
  },
  {
    name: 'policy host: SERVFAIL',
    kind: 'https',
    failure: DNS,
    inflict: () => bob.dns.fails('servfail', 'policy-host'),
    address: true,
  },
  {
    name: 'policy host: at a private address',
    kind: 'https',
    failure: 'sts-policy-fetch-error blocked-address',
    inflict: () => stage.world.dns.set(POLICY_HOST, 'A', ['10.0.0.1']),
    address: true,
  },
  https('HTTPS: refused', 'down', 'sts-policy-fetch-error connection-failed'),
  https('HTTPS: reset', 'reset', 'sts-policy-fetch-error connection-failed'),
  https(
    'HTTPS: certificate of another host',
    'wrong-name',
    'sts-webpki-invalid certificate-host-mismatch',
  ),
  https('HTTPS: self-signed certificate', 'self-signed', 'sts-webpki-invalid self-signed'),
  https('HTTPS: expired certificate', 'expired', 'sts-webpki-invalid certificate-expired'),
  https('HTTPS: 301', 'redirect', 'sts-policy-fetch-error http-status-301'),
  https('HTTPS: 404', '404', 'sts-policy-fetch-error http-status-404'),
  https('HTTPS: 500', '500', 'sts-policy-fetch-error http-status-500'),
  https('HTTPS: html', 'html', 'sts-policy-fetch-error media-type'),
  https('HTTPS: oversize', 'oversize', 'sts-policy-fetch-error too-large'),
  https('HTTPS: drip', 'drip', 'sts-policy-fetch-error timeout', { stalls: 'https' }),
  https('HTTPS: gzip', 'gzip', 'sts-policy-fetch-error content-encoding'),
  https('HTTPS: invalid policy', 'invalid-policy', 'sts-policy-invalid'),
  {
    name: 'HTTPS: empty body',
    kind: 'https',
    failure: 'sts-policy-invalid',
    inflict: () => bob.policyHost.fails({ body: '' }),
  },
]

/**
 * The result of a delivery, the failure that is known after all work has ended, and the traffic.
 */
interface Cell {
  answer: string
  failure: string | undefined
  txt: number
  fetches: number
  reports: number
}

/** The result of a delivery, and of the cache after all work that it started. */
interface Outcome {
  answer: string
  landed: PolicyLookup
}

interface State {
  name: string
  /** Brings a cache into the state; the domain works */
  prepare(): Promise<CacheUnderTest>
  /** The action; by default, a delivery asks */
  act?: (under: CacheUnderTest, state: State) => Promise<Outcome>
  /** The cache has a policy: the delivery does not wait, the network is used in the background */
  held?: true
  /** The cell of each kind of fault; omitted parts are as in {@link quiet} */
  cell(fault: Fault): Partial<Cell> & { answer: string }
}

const quiet = { failure: undefined, txt: 0, fetches: 0, reports: 0 }
const ENFORCED = 'enforce n1'

/** Discovery before the delivery. `failing`: the result without a policy. */
function discovered(
  { kind, failure }: Fault,
  failing?: string,
): Partial<Cell> & { answer: string } {
  const seen = { failure, txt: 1, reports: 1 }
  switch (kind) {
    case 'gone':
      return { answer: 'no-record', txt: 1 }
    case 'failed':
      return { answer: failing ?? 'dns-failure', ...seen }
    case 'invalid':
      return { answer: failing ?? 'invalid', ...seen }
    case 'https': {
      const invalid = failure.startsWith('sts-policy-invalid')
      return { answer: failing ?? (invalid ? 'invalid' : 'fetch-failed'), ...seen, fetches: 1 }
    }
  }
}

/** A background recheck. `https`: the result when the record is valid. */
function looked(
  { kind, failure }: Fault,
  https: Partial<Cell>,
): Partial<Cell> & { answer: string } {
  const seen = kind === 'https' ? https : { failure, reports: 1 }
  return { answer: ENFORCED, txt: 1, ...seen }
}

function newCache(options: MtaStsOptions = {}): CacheUnderTest {
  return stage.cache({ resolver, ...options })
}

/** A cache with `n1` in mode enforce, just fetched. */
async function holding(options: MtaStsOptions = {}): Promise<CacheUnderTest> {
  const under = newCache(options)
  expect(said(await under.cache.get(bob.name))).toBe(ENFORCED)
  return under
}

const UNAVAILABLE = 'sts-policy-fetch-error http-status-503'

/** Makes a GET of the new id `n2` fail, and repairs the host. */
async function failOnce(under: CacheUnderTest): Promise<void> {
  bob.policy({ id: 'n2' })
  bob.policyHost.fails({ status: 503 })
  expect(failureOf(await under.cache.lookAgain(bob.name))).toBe(UNAVAILABLE)
  bob.policyHost.works()
  stage.clock.advance(4 * MINUTE)
}

const STATES: State[] = [
  {
    name: 'nothing known',
    prepare: async () => newCache(),
    cell: (fault) => discovered(fault),
  },
  {
    name: 'no record, lately',
    prepare: async () => {
      const under = newCache()
      bob.record(null)
      expect(said(await under.cache.get(bob.name))).toBe('no-record')
      bob.policy({ id: 'n2' })
      stage.clock.advance(5 * MINUTE - 1)
      return under
    },
    cell: () => ({ answer: 'no-record' }),
  },
  {
    name: 'no record, long ago',
    prepare: async () => {
      const under = newCache()
      bob.record(null)
      expect(said(await under.cache.get(bob.name))).toBe('no-record')
      bob.policy({ id: 'n2' })
      stage.clock.advance(5 * MINUTE)
      return under
    },
    cell: (fault) => discovered(fault),
  },
  {
    name: 'nothing known, the id in backoff',
    prepare: async () => {
      const under = newCache()
      await failOnce(under)
      return under
    },
    cell: (fault) =>
      fault.kind === 'https'
        ? { answer: 'fetch-failed', failure: UNAVAILABLE, txt: 1, reports: 1 }
        : discovered(fault),
  },
  {
    name: 'policy, looked at lately',
    act: askAtOnce,
    held: true,
    prepare: async () => {
      const under = await holding()
      bob.policy({ id: 'n2', mode: 'none' })
      stage.clock.advance(5 * MINUTE - 1)
      return under
    },
    cell: () => ({ answer: ENFORCED }),
  },
  {
    name: 'policy, due for a look',
    held: true,
    prepare: async () => {
      const under = await holding()
      stage.clock.advance(5 * MINUTE)
      return under
    },
    cell: (fault) => looked(fault, {}),
  },
  {
    name: 'policy, a new id announced',
    held: true,
    prepare: async () => {
      const under = await holding()
      bob.policy({ id: 'n2' })
      stage.clock.advance(5 * MINUTE)
      return under
    },
    cell: (fault) => looked(fault, { failure: fault.failure, fetches: 1, reports: 1 }),
  },
  {
    name: 'policy, the new id in backoff',
    held: true,
    prepare: async () => {
      const under = await holding({ recheckInterval: MINUTE })
      await failOnce(under)
      return under
    },
    cell: (fault) => looked(fault, { failure: UNAVAILABLE, reports: 1 }),
  },
  {
    name: 'policy, after a restart',
    held: true,
    prepare: async () => {
      const store = memoryStore({ now: stage.clock.now })
      await holding({ store })
      stage.clock.advance(HOUR)
      return newCache({ store })
    },
    cell: (fault) => looked(fault, {}),
  },
  {
    name: 'policy, due for renewal',
    held: true,
    prepare: async () => {
      const under = await holding()
      stage.clock.advance(DAY)
      return under
    },
    // The policy host is contacted, whatever the TXT lookup returns
    cell: ({ kind, failure }) => ({
      answer: ENFORCED,
      txt: 1,
      fetches: 1,
      ...(kind === 'failed' ? {} : { failure, reports: 1 }),
    }),
  },
  {
    name: 'policy, after a restart, a new id announced',
    held: true,
    prepare: async () => {
      const store = memoryStore({ now: stage.clock.now })
      await holding({ store })
      bob.policy({ id: 'n2' })
      return newCache({ store })
    },
    cell: (fault) => looked(fault, { failure: fault.failure, fetches: 1, reports: 1 }),
  },
  {
    name: 'policy, in the daily refresh',
    held: true,
    prepare: async () => {
      const under = await holding({ recheckInterval: 2 * WEEK })
      stage.clock.advance(DAY)
      return under
    },
    act: async ({ cache }) => {
      const renewal = await cache.renew(bob.name)
      const landed = await cache.get(bob.name)
      return { answer: `${renewal}, ${said(landed)}`, landed }
    },
    cell: (fault) =>
      // DNS gives no answer about the policy host, which is contacted in any case
      fault.kind === 'failed'
        ? { answer: 'renewed, enforce n1', txt: 1, fetches: 1 }
        : {
            answer: fault.kind === 'https' ? 'failed, enforce n1' : 'renewed, enforce n1',
            failure: fault.failure,
            txt: 1,
            fetches: 1,
            reports: 1,
          },
  },
  {
    name: 'policy expired',
    prepare: async () => {
      const under = await holding()
      stage.clock.advance(WEEK)
      return under
    },
    cell: (fault) => discovered(fault, 'expired'),
  },
  {
    name: 'policy expired, in the store too',
    prepare: async () => {
      const store = memoryStore({ now: stage.clock.now })
      await holding({ store })
      stage.clock.advance(WEEK)
      return newCache({ store })
    },
    cell: (fault) => discovered(fault),
  },
]

function inflict(fault: Fault, under: CacheUnderTest): void {
  fault.inflict()
  askForAddress = fault.address ?? false
  setTimeouts(under, fault.stalls)
}

/** Repairs the domain. */
function repair(): void {
  askForAddress = false
  silent = false
  bob.dns.works()
  bob.policyHost.works()
  stage.world.dns.unset(RECORD, 'A')
  stage.world.dns.unset(RECORD, 'TXT')
  stage.world.dns.unset(POLICY_HOST, 'A')
}

const STALLED = 100

/**
 * Sets a short timeout for the operation that stalls, and long ones for the others, even on a slow
 * machine.
 */
function setTimeouts({ network }: CacheUnderTest, stalls?: Fault['stalls']): void {
  network.dnsTimeout = stalls === 'dns' ? STALLED : 15_000
  network.fetchTimeout = stalls === 'https' ? STALLED : 15_000
}

/** One delivery, and the result after all work that it started. */
async function ask({ cache }: CacheUnderTest, state: State): Promise<Outcome> {
  const first = await cache.get(bob.name)
  return { answer: said(first), landed: state.held ? await cache.lookAgain(bob.name) : first }
}

/** One delivery that starts no work. */
async function askAtOnce({ cache }: CacheUnderTest): Promise<Outcome> {
  const first = await cache.get(bob.name)
  await turns()
  return { answer: said(first), landed: await cache.get(bob.name) }
}

describe.each(STATES)('[STS-22] [STS-23] [STS-24] [STS-25] [STS-55] $name', (state) => {
  it.each(FAULTS)('$name', async (fault) => {
    repair()
    bob.policy({ mode: 'enforce', maxAge: WEEK / 1000, id: 'n1' })
    const under = await state.prepare()
    const { cache, reports } = under
    resolver.asked.length = 0
    reports.length = 0
    inflict(fault, under)

    const { answer, landed } = await (state.act ?? ask)(under, state)
    const cell: Cell = {
      answer,
      failure: failureOf(landed),
      txt: resolver.count(`TXT ${RECORD}`),
      fetches: resolver.count(`A ${POLICY_HOST}`),
      reports: reports.length,
    }
    expect(cell).toEqual({ ...quiet, ...state.cell(fault) })

    if (state.held) {
      // The same holds to the last millisecond, before and after one more recheck, as long as the
      // policy host has no other policy
      bob.policyHost.fails('down')
      if (landed.status !== 'found') throw new Error('the policy that was held is gone')
      stage.clock.advance(landed.expiresAt.getTime() - stage.clock.now() - 1)
      expect(said(await cache.get(bob.name))).toBe(ENFORCED)
      expect(said(await cache.lookAgain(bob.name))).toBe(ENFORCED)
      expect(said(await cache.get(bob.name))).toBe(ENFORCED)
    }

    // When the network is repaired, the domain gets what it announces
    repair()
    setTimeouts(under)
    stage.clock.advance(2 * HOUR)
    const announced = bob.policyFile?.includes('mode: none') ? 'none n2' : `enforce ${bob.id}`
    expect(said(await cache.lookAgain(bob.name))).toBe(announced)
  })
})

/** States of DNS and the policy host for an hour; about three of twelve work. */
const TXT_WEATHER: ReadonlyArray<() => string[][] | Error> = [
  ...new Array<() => string[][]>(3).fill(() => announcing(bob.id ?? '')),
  ...['ENOTFOUND', 'ENODATA', 'ESERVFAIL', 'EREFUSED', 'ETIMEOUT', 'EBADRESP'].map(
    (code) => () => dnsError(code),
  ),
  () => [...announcing(bob.id ?? ''), ...announcing('another')],
  () => [['v=STSv1; id=not_an-id!;']],
  () => [['v=spf1 -all']],
]
const HTTPS_WEATHER: ReadonlyArray<NamedPolicyHostFault | undefined> = [
  ...[undefined, undefined, undefined],
  ...(['down', 'reset', 'redirect', '404', '500', 'html', 'oversize'] as const),
  ...(['invalid-policy', 'wrong-name', 'self-signed'] as const),
]

interface Month {
  /** Hours with some failure */
  troubled: number
  renewed: number
  failed: number
  restarts: number
  ids: Set<string>
}

/**
 * A delivery every hour for 31 days, a refresh every day, now and then a restart or a new id. DNS
 * and HTTPS fail at random most of the time; on every fifth day they work during the refresh, since
 * a policy of a week cannot last longer without a fetch.
 */
async function liveThrough(seed: number): Promise<Month> {
  const random = seededRandom(seed)
  const pick = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)] as T
  const store = memoryStore({ now: stage.clock.now })
  let txt: () => string[][] | Error = () => announcing(bob.id ?? '')
  const weather = scriptedResolver((question) => {
    if (question.startsWith('TXT')) return txt()
    return question.startsWith('AAAA') ? dnsError('ENODATA') : [bob.policyHost.ipv4]
  })
  const start = () => newCache({ store, resolver: weather }).cache

  repair()
  bob.policy({ mode: 'enforce', maxAge: WEEK / 1000, id: 'm0' })
  const month: Month = { troubled: 0, renewed: 0, failed: 0, restarts: 0, ids: new Set() }
  let cache = start()
  let fetchedAt = new Date(0)
  for (let hour = 0; hour <= 31 * 24; hour++) {
    const where = `hour ${hour}; run again with MTA_STS_SEED=${seed}`
    const calm = hour % (5 * 24) === 0
    const fault = calm ? undefined : pick(HTTPS_WEATHER)
    txt = calm ? () => announcing(bob.id ?? '') : pick(TXT_WEATHER)
    if (fault === undefined) bob.policyHost.works()
    else bob.policyHost.fails(fault)
    if (random() < 1 / 50) bob.policy({ id: `m${hour}` })
    if (hour > 0 && random() < 1 / 50) {
      month.restarts++
      cache = start()
    }

    const lookup = await cache.get(bob.name)
    if (lookup.status !== 'found') throw new Error(`no policy, but ${said(lookup)}, in ${where}`)
    expect(lookup.policy.mode, where).toBe('enforce')
    expect(lookup.expiresAt.getTime(), where).toBeGreaterThan(stage.clock.now())
    // Never an older one than the previous delivery had
    expect(lookup.fetchedAt.getTime(), where).toBeGreaterThanOrEqual(fetchedAt.getTime())
    fetchedAt = lookup.fetchedAt
    month.ids.add(lookup.id)
    if (lookup.failure) month.troubled++

    await cache.lookAgain(bob.name)
    if (hour % 24 === 0) {
      const { renewed, changed, failed } = await new Refresher(cache, {
        interval: 0,
        now: stage.clock.now,
      }).run()
      month.renewed += renewed + changed
      month.failed += failed
    }
    stage.clock.advance(HOUR)
  }
  return month
}

const SEEDS = [1, 8461, Number(process.env.MTA_STS_SEED ?? Date.now() % 1_000_000)]

describe('a simulated month', () => {
  it.each(SEEDS)(
    '[STS-22] [STS-23] [STS-27] [STS-33] DNS and HTTPS fail at random: no delivery without the policy (seed %i)',
    async (seed) => {
      const month = await liveThrough(seed)
      // Enough failures, or the test would prove nothing
      expect(month.troubled).toBeGreaterThan(200)
      expect(month.failed).toBeGreaterThan(5)
      expect(month.renewed).toBeGreaterThanOrEqual(6)
      expect(month.restarts).toBeGreaterThan(0)
      expect(month.ids.size).toBeGreaterThan(1)
    },
  )
})

describe('a flood of domains', () => {
  const POLICIES = 1000
  const NEGATIVES = 5000
  const FLOOD = 100_000

  it('[STS-32] 100,000 domains without policies evict no policy, and memory stays bounded', async () => {
    const clock = new ManualClock()
    const store = watchedStore({ now: clock.now })
    const policyDomains = Array.from({ length: POLICIES }, (_, index) => `policy${index}.example`)
    for (const domain of policyDomains) await store.inner.set(domain, storedPolicy(clock.now()))
    const source = scriptedResolver((question) =>
      question.includes('.policy') ? announcing('stored1') : FLOODERS[source.asked.length % 4],
    )
    const { cache } = makeCache({
      store,
      resolver: source,
      connect: noConnect,
      now: clock.now,
      maxPolicies: POLICIES,
      maxNegatives: NEGATIVES,
    })
    for (const domain of policyDomains) expect(said(await cache.get(domain))).toBe(STORED)
    // They were rechecked, and from here on they are in memory only
    await turns()
    for (const domain of policyDomains) await store.inner.delete(domain)

    for (let index = 0; index < FLOOD; index++) {
      const lookup = await cache.get(`flood${index}.example`)
      if (lookup.status !== 'none') throw new Error(`flood${index}.example has a policy`)
    }
    expect(source.asked.filter((question) => question.includes('flood'))).toHaveLength(FLOOD)
    source.asked.length = 0
    store.calls.length = 0

    // None of the policies is looked up, not even in the store
    for (const domain of policyDomains) expect(said(await cache.get(domain))).toBe(STORED)
    await turns()
    expect(source.asked).toEqual([])
    expect(store.calls).toEqual([])

    // Exactly the last 5,000 are cached
    for (let index = FLOOD - NEGATIVES; index < FLOOD; index++) {
      expect(cache.known(`flood${index}.example`)).toMatchObject({ status: 'none' })
    }
    for (let index = 0; index < FLOOD - NEGATIVES; index++) {
      if (cache.known(`flood${index}.example`)) throw new Error(`flood${index} is remembered`)
    }
    const oldest = `flood${FLOOD - NEGATIVES - 1}.example`
    await cache.get(oldest)
    expect(source.asked).toEqual([`TXT _mta-sts.${oldest}`])
  })

  it('[STS-33] policies above maxPolicies are read from the store', async () => {
    const clock = new ManualClock()
    const store = watchedStore({ now: clock.now })
    const domains = Array.from({ length: 30 }, (_, index) => `policy${index}.example`)
    for (const domain of domains) await store.inner.set(domain, storedPolicy(clock.now()))
    const down = scriptedResolver(() => dnsError('ESERVFAIL'))
    const { cache } = makeCache({
      store,
      resolver: down,
      connect: noConnect,
      now: clock.now,
      maxPolicies: 10,
    })
    for (let round = 0; round < 3; round++) {
      for (const domain of domains) expect(said(await cache.get(domain))).toBe(STORED)
    }
    expect(store.count('get')).toBe(90)
    // The last used ones are in memory
    for (const domain of domains.slice(-10)) expect(said(await cache.get(domain))).toBe(STORED)
    expect(store.count('get')).toBe(90)
  })

  it('[STS-32] evicts unused policies and keeps used ones', async () => {
    const clock = new ManualClock()
    const store = watchedStore({ now: clock.now })
    for (let index = 0; index < 30; index++) {
      await store.inner.set(`policy${index}.example`, storedPolicy(clock.now()))
    }
    const { cache } = makeCache({
      store,
      resolver: emptyResolver(),
      connect: noConnect,
      now: clock.now,
      maxPolicies: 10,
    })
    await cache.get('policy0.example')
    for (let index = 1; index < 30; index++) {
      await cache.get(`policy${index}.example`)
      expect(cache.known('policy0.example')).toMatchObject({ status: 'found' })
    }
    expect(cache.known('policy1.example')).toBeUndefined()
  })
})

const STORED = 'enforce stored1'
/** Answers of the domains of a flood. */
const FLOODERS = [
  dnsError('ENOTFOUND'),
  dnsError('ENODATA'),
  dnsError('ESERVFAIL'),
  [['v=STSv1; id=not_an-id!;']],
]
