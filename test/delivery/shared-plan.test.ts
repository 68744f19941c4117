/** Overlapping deliveries to a domain share a plan; what each of them gets is its own. */
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import {
  type Candidate,
  type DeliveryPlan,
  formatPolicy,
  MtaSts,
  type MtaStsOptions,
  type Policy,
  type PolicyLookup,
  type StoredPolicy,
} from '../../src/index.js'

const DOMAIN = 'bob.example'
const HOSTS = ['a.bob.example', 'b.bob.example', 'c.bob.example']

const policy: Policy = { version: 'STSv1', mode: 'enforce', mx: ['*.bob.example'], maxAge: 86_400 }

const opened: MtaSts[] = []
afterEach(() => Promise.all(opened.splice(0).map((sts) => sts.close())))

/** A DNS that counts its address lookups; its hosts share a preference. */
function open(
  addressOf: (host: string) => Promise<string[]> = async () => ['192.0.2.1'],
  options: MtaStsOptions = { overrides: { [DOMAIN]: policy } },
) {
  const asked: string[] = []
  const sts = new MtaSts({
    resolver: {
      resolveTxt: async () => [],
      resolveMx: async () => HOSTS.map((exchange) => ({ exchange, priority: 10 })),
      resolve4: (host) => {
        asked.push(host)
        return addressOf(host)
      },
      resolve6: async () => [],
    },
    ...options,
  })
  opened.push(sts)
  return { sts, asked }
}

/** Runs deliveries inside each other; returns the plan of each. */
async function nested(sts: MtaSts, count: number, change?: (one: Candidate) => void) {
  const plans: DeliveryPlan[] = []
  const deliver = async (left: number): Promise<void> => {
    await sts.deliver(DOMAIN, async (candidate, { plan }) => {
      plans.push(copyOf(plan))
      change?.(candidate)
      if (left > 1) await deliver(left - 1)
    })
  }
  await deliver(count)
  return plans
}

/** What may differ is in it; functions and the TLS context are not. */
function copyOf(plan: DeliveryPlan): DeliveryPlan {
  return { ...plan, candidates: plan.candidates.map((one) => ({ ...one, tls: { ...one.tls } })) }
}

const namesOf = ({ candidates }: DeliveryPlan) => candidates.map(({ mxHost }) => mxHost)

test('a host that one attempt changes is as it was for the next delivery', async () => {
  const { sts } = open()
  const plans = await nested(sts, 5, (one) => {
    one.port = 1
    one.security = { level: 'opportunistic' }
    one.tls.servername = 'other.example'
  })
  for (const { candidates } of plans) {
    for (const { mxHost, port, security, tls } of candidates) {
      expect({ port, security: security.level, name: tls.servername }).toEqual({
        port: 25,
        security: 'authenticated',
        name: mxHost,
      })
    }
  }
})

test('what one attempt does to addresses and proofs is unknown to the next delivery', async () => {
  const { sts } = open()
  const seen: unknown[] = []
  await nested(sts, 9, ({ addresses, security }) => {
    const proofs = security.level === 'authenticated' ? security.proofs : []
    seen.push({ addresses: [...addresses], proofs: [...proofs] })
    Reflect.set(addresses, 'length', 0)
    Reflect.set(proofs, 'length', 0)
  })
  expect(seen).toEqual(Array(9).fill({ addresses: ['192.0.2.1'], proofs: [{ by: 'sts' }] }))
})

test('hosts of equal preference come in another order for each delivery', async () => {
  const { sts, asked } = open()
  const plans = await nested(sts, 60)
  expect(new Set(plans.map((plan) => namesOf(plan)[0]))).toEqual(new Set(HOSTS))
  expect(plans.every((plan) => namesOf(plan).toSorted().join() === HOSTS.join())).toBe(true)
  expect(asked).toHaveLength(HOSTS.length)
})

/** The number of hosts' judges in these plans: a plan has one for each of its candidates. */
const judgesIn = (plans: readonly DeliveryPlan[]) =>
  new Set(plans.flatMap(({ candidates }) => candidates.map(({ verify }) => verify))).size

/** Stops the clock by which MX answers are forgotten, and the plans made of them. */
function stopClock(): void {
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => void vi.useRealTimers())
}

test('a plan is computed once for overlapping deliveries with the same override', async () => {
  stopClock()
  const { sts } = open()
  expect(judgesIn(await nested(sts, 5))).toBe(HOSTS.length)
})

test('a plan is computed once for overlapping deliveries without a policy', async () => {
  stopClock()
  const { sts } = open(undefined, {})
  expect(judgesIn(await nested(sts, 5))).toBe(HOSTS.length)
})

test('a plan is computed again for a delivery that begins after the last one ended', async () => {
  stopClock()
  const { sts } = open()
  const plans = [await nested(sts, 1), await nested(sts, 1)].flat()
  expect(judgesIn(plans)).toBe(2 * HOSTS.length)
})

test('a host that could not be looked up is looked up by the next delivery', async () => {
  let fails = true
  const { sts } = open(async (host) => {
    if (fails && host === HOSTS[0])
      throw Object.assign(new Error('servfail'), { code: 'ESERVFAIL' })
    return ['192.0.2.1']
  })
  const plans = await nested(sts, 2, () => {
    fails = false
  })
  expect(plans.map((plan) => plan.candidates.length)).toEqual([2, 3])
})

test('a message with a demand of its own gets the plan for that demand', async () => {
  const { sts } = open()
  const levels: string[] = []
  await sts.deliver(DOMAIN, async (first) => {
    levels.push(first.security.level)
    const inner = async ({ security }: Candidate) => void levels.push(security.level)
    await sts.deliver(DOMAIN, inner, { demand: 'optional' })
    await sts.deliver(DOMAIN, inner, { demand: 'require' })
    await sts.deliver(DOMAIN, inner)
  })
  expect(levels).toEqual(['authenticated', 'opportunistic', 'authenticated', 'authenticated'])
})

test('[STS-51] a policy that is known since the plan was made leads to another plan', async () => {
  let stored: StoredPolicy | undefined
  const store = { get: async () => stored, set: async () => true, delete: async () => {} }
  const { sts } = open(undefined, { store, negativeTtl: 0 })
  const levels: string[] = []
  await sts.deliver(DOMAIN, async (first) => {
    levels.push(first.security.level)
    const fetchedAt = Date.now()
    const times = { fetchedAt, usedAt: fetchedAt, expiresAt: fetchedAt + 86_400_000 }
    stored = { id: 'n1', body: formatPolicy(policy), ...times }
    await sts.deliver(DOMAIN, async ({ security }) => void levels.push(security.level))
  })
  expect(levels).toEqual(['opportunistic', 'authenticated'])
})

test.each([
  { title: 'another id', id: 'n2', later: 1000 },
  { title: 'another id, fetched in the same millisecond', id: 'n2', later: 0 },
  { title: 'the same id', id: 'n1', later: 1000 },
])('[STS-51] no plan of a policy is used after another took its place: $title', async (next) => {
  stopClock()
  const entry = (id: string, mx: string, fetchedAt: number): StoredPolicy => ({
    id,
    body: formatPolicy({ ...policy, mx: [mx] }),
    fetchedAt,
    usedAt: fetchedAt,
    expiresAt: fetchedAt + 86_400_000,
  })
  const fetchedAt = Date.now() - 10_000
  let stored = entry('n1', '*.bob.example', fetchedAt)
  const store = { get: async () => stored, set: async () => true, delete: async () => {} }
  // With room for one policy, that of another domain takes its place in memory
  const { sts } = open(undefined, { store, maxPolicies: 1 })
  const plans: string[][] = []
  await sts.deliver(DOMAIN, async (_, { plan }) => {
    plans.push(namesOf(plan).toSorted())
    stored = entry(next.id, 'b.bob.example', fetchedAt + next.later)
    await sts.getPolicy('other.example')
    await sts.deliver(DOMAIN, async (_, { plan }) => void plans.push(namesOf(plan)))
  })
  expect(plans).toEqual([HOSTS, ['b.bob.example']])
})

test('deliveries with the same cached policy share a plan, each with its own lookup', async () => {
  stopClock()
  const fetchedAt = Date.now()
  const stored: StoredPolicy = {
    id: 'n1',
    body: formatPolicy(policy),
    fetchedAt,
    startedAt: fetchedAt,
    expiresAt: fetchedAt + 86_400_000,
    usedAt: fetchedAt,
  }
  const store = {
    get: async () => stored,
    set: async () => undefined,
    delete: async () => undefined,
  }
  const { sts, asked } = open(undefined, { store, recheckInterval: 3_600_000 })
  const plans: DeliveryPlan[] = []
  let again: PolicyLookup | undefined
  await sts.deliver(DOMAIN, async (_, { plan }) => {
    plans.push(plan)
    again = await sts.lookAgain(DOMAIN)
    await sts.deliver(DOMAIN, async (_, { plan }) => void plans.push(plan))
  })
  expect(again).toMatchObject({ failure: { reason: 'record-gone' } })
  expect(plans[0]?.lookup).not.toHaveProperty('failure')
  expect(plans[1]?.lookup).toEqual(again)
  expect(judgesIn(plans)).toBe(HOSTS.length)
  expect(asked).toHaveLength(HOSTS.length)
})
