/** Deliveries that take every place for policy lookups, and the work in the background beside them. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { MtaSts, type PolicyStore } from '../../src/index.js'
import { memoryStore } from '../../src/policy/stores/memory.js'

const BODY = 'version: STSv1\nmode: enforce\nmx: mx.victim.example\nmax_age: 604800\n'

/** Questions about TXT records, in order; each waits until it is answered. */
class HeldResolver {
  readonly asked: string[] = []
  readonly #answers: Array<() => void> = []

  resolveTxt = async (name: string): Promise<string[][]> => {
    this.asked.push(name.replace('_mta-sts.', ''))
    await new Promise<void>((resolve) => this.#answers.push(resolve))
    return []
  }
  resolveMx = async () => []
  resolve4 = async () => []
  resolve6 = async () => []

  /** Answers the question that has waited longest. */
  async answer(): Promise<void> {
    const { length } = this.asked
    this.#answers.shift()?.()
    await expect.poll(() => this.asked.length, { interval: 1 }).toBeGreaterThan(length)
  }

  answerAll(): void {
    for (const answer of this.#answers.splice(0)) answer()
  }
}

let dns: HeldResolver
let store: PolicyStore
let sts: MtaSts
const rest: Promise<unknown>[] = []

beforeEach(async () => {
  dns = new HeldResolver()
  store = memoryStore()
  const fetchedAt = Date.now() - 1000
  const times = { startedAt: fetchedAt, fetchedAt, expiresAt: fetchedAt + 604_800_000 }
  await store.set('victim.example', { id: 'n1', body: BODY, ...times, usedAt: fetchedAt })
  sts = new MtaSts({ resolver: dns, store, maxFetches: 1, dnsTimeout: 60_000, refreshInterval: 0 })
})

afterEach(async () => {
  const closed = sts.close()
  dns.answerAll()
  await Promise.allSettled([closed, ...rest.splice(0)])
})

function flood(domains: number): void {
  for (let n = 1; n <= domains; n++) rest.push(sts.getPolicy(`slow${n}.example`))
}

test('[STS-27] [STS-55] a pass goes on while deliveries to unknown domains take every place', async () => {
  flood(20)
  await expect.poll(() => dns.asked).toEqual(['slow1.example'])
  rest.push(sts.refresh())
  for (let answered = 0; answered < 5; answered++) await dns.answer()
  expect(dns.asked).toContain('victim.example')
  expect(dns.asked.filter((name) => name.startsWith('slow')).length).toBeGreaterThanOrEqual(4)
})

test('[STS-55] the recheck of a policy goes on while deliveries to unknown domains take every place', async () => {
  flood(20)
  await expect.poll(() => dns.asked).toEqual(['slow1.example'])
  expect(await sts.getPolicy('victim.example')).toMatchObject({ status: 'found' })
  for (let answered = 0; answered < 5; answered++) await dns.answer()
  expect(dns.asked).toContain('victim.example')
})

test('[STS-29] a delivery gets the policy of the store while the pass waits for a place', async () => {
  flood(20)
  await expect.poll(() => dns.asked).toEqual(['slow1.example'])
  rest.push(sts.refresh())
  // The pass has read the list of the store, and waits
  await new Promise((resolve) => setImmediate(resolve))
  const lookup = await sts.getPolicy('victim.example')
  expect(lookup).toMatchObject({ status: 'found', policy: { mode: 'enforce' } })
  expect(dns.asked).toEqual(['slow1.example'])
})
