/**
 * The memory of a cached policy, with everything that finds, orders and evicts it.
 *
 * @module
 */
import { parsePolicy } from 'mailauth/lib/mta-sts.js'
import { MtaSts } from 'mta-sts'
import { atMost, type Benchmark, type Mode, pairedRow, planFor, type Row } from '../benchmark.js'
import { MAX_AGE, POLICY_ID, RECORD } from '../network.js'
import { alternate, spread } from '../pairs.js'
import { learntPolicies, ownMxHosts, policyBody } from '../policies.js'

const RESOLVER = {
  resolveTxt: async () => [[RECORD]],
  resolveMx: async () => [],
  resolve4: async () => [],
  resolve6: async () => [],
}

export const memory: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 2000 : 100_000
  const figures = await alternate(
    {
      async ours() {
        const before = await bytesInUse()
        await using sts = new MtaSts({ resolver: RESOLVER, store: learntPolicies() })
        for (let index = 0; index < count; index++) {
          const { status } = await sts.getPolicy(nameOf(index))
          if (status !== 'found') throw new Error(`${nameOf(index)} has no policy`)
        }
        const each = ((await bytesInUse()) - before) / count
        for (let index = 0; index < count; index++) {
          const { status, failure } = await sts.getPolicy(nameOf(index))
          if (status !== 'found' || failure) throw new Error(`${nameOf(index)} was not kept`)
        }
        return each
      },
      async theirs() {
        const before = await bytesInUse()
        const cache = new Map<string, object>()
        for (let index = 0; index < count; index++) {
          const name = nameOf(index)
          const expires = new Date(Date.now() + MAX_AGE * 1000).toISOString()
          const policy = parsePolicy(Buffer.from(policyBody(ownMxHosts(name))))
          cache.set(name, { id: POLICY_ID, ...policy, expires })
        }
        const each = ((await bytesInUse()) - before) / count
        return cache.size === count ? each : Number.NaN
      },
    },
    planFor(mode),
  )
  return {
    rows: [
      pairedRow(figures, {
        name: 'memory',
        what: `each of ${count} cached policies with two mx`,
        beside: "a Map of mailauth's policies, without the text that they came from",
        unit: 'B',
        target: atMost(800),
      }),
      await hostileRow(mode),
    ],
  }
}

/** Number of patterns in a policy of almost 64 KiB. */
const HOSTILE_PATTERNS = 1900

/** Domains of an attacker fill the cache, which is bounded in bytes, with the largest policies. */
async function hostileRow(mode: Mode): Promise<Row> {
  const megabytes = mode === 'quick' ? 4 : 64
  const count = megabytes * 32
  const { ours } = await alternate(
    {
      async ours() {
        const hosts = (domain: string) =>
          Array.from({ length: HOSTILE_PATTERNS }, (_, index) => `mx${index}.of.${domain}`)
        const before = await bytesInUse()
        await using sts = new MtaSts({
          resolver: RESOLVER,
          store: learntPolicies(hosts),
          maxCacheBytes: megabytes * 2 ** 20,
        })
        for (let index = 0; index < count; index++) {
          const lookup = await sts.getPolicy(nameOf(index))
          if (lookup.status !== 'found' || lookup.policy.mx.length !== HOSTILE_PATTERNS) {
            throw new Error(`${nameOf(index)} has no policy`)
          }
        }
        return ((await bytesInUse()) - before) / 2 ** 20
      },
    },
    planFor(mode),
  )
  return {
    name: 'memory',
    what: `${count} policies of ${HOSTILE_PATTERNS} mx with a maxCacheBytes of ${megabytes} MB`,
    unit: 'MB',
    ours: spread(ours.values),
    target: atMost(megabytes),
  }
}

/** No string that is made here outlives the entry that it is the key of. */
function nameOf(index: number): string {
  return Buffer.from(`domain${index}.example`).toString()
}

/** Returns the memory in use after temporary data was collected. */
async function bytesInUse(): Promise<number> {
  for (let turn = 0; turn < 3; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    globalThis.gc?.()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
