/**
 * The speed of a cached policy lookup, the first step of every delivery.
 *
 * @module
 */
import { LRUCache } from 'lru-cache'
import type { MTASTSPolicy } from 'mailauth'
import { getPolicy, parsePolicy } from 'mailauth/lib/mta-sts.js'
import { MtaSts } from 'mta-sts'
import { atLeast, type Benchmark, MANY_SHORT, pairedRow, planFor } from '../benchmark.js'
import { domainNames, POLICY_ID, RECORD } from '../network.js'
import { alternate, type Leg } from '../pairs.js'
import { learntPolicies, ownMxHosts, policyBody } from '../policies.js'

export const cached: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 1000 : 100_000
  const calls = mode === 'quick' ? 10_000 : 400_000
  const names = domainNames(count, 'cached')

  const resolver = {
    resolveTxt: async () => [[RECORD]],
    resolveMx: async () => [],
    resolve4: async () => [],
    resolve6: async () => [],
  }
  await using sts = new MtaSts({ resolver, store: learntPolicies() })
  const theirCache = new Map<string, MTASTSPolicy>()
  const lru = new LRUCache<string, object>({ max: 100_000 })
  for (const name of names) {
    await sts.getPolicy(name)
    // Without an expiry date, which would make it refetch
    const policy = { id: POLICY_ID, ...parsePolicy(policyBody(ownMxHosts(name))) }
    theirCache.set(name, policy)
    lru.set(name, policy)
  }
  await checkSame(sts, theirCache, names)

  const answers = [[RECORD]]
  const options = { resolver: async () => answers }
  const legs = {
    ours: legOf(count, calls, async (asked) => {
      let found = 0
      for (const name of asked) if ((await sts.getPolicy(name)).status === 'found') found++
      return found
    }),
    lru: legOf(count, calls, (asked) => {
      let found = 0
      for (const name of asked) if (lru.get(name)) found++
      return found
    }),
    theirs: legOf(count, calls / 10, async (asked) => {
      let found = 0
      for (const name of asked) {
        const { status } = await getPolicy(name, theirCache.get(name), options)
        if (status === 'renewed') found++
      }
      return found
    }),
  }
  const { ours, lru: get, theirs } = await alternate(legs, planFor(mode, MANY_SHORT))
  const what = `answers of getPolicy, one after the other, for ${count} cached domains`
  return {
    rows: [
      pairedRow(
        { ours, theirs: get },
        {
          name: 'cached',
          what,
          beside: 'the get of lru-cache by itself',
          unit: '/s',
          sameWork: true,
          target: atLeast(0.8),
        },
      ),
      pairedRow(
        { ours, theirs },
        {
          name: 'cached',
          what,
          beside: 'getPolicy of mailauth with a Map, and a resolver that answers at once',
          unit: '/s',
          target: atLeast(6),
        },
      ),
    ],
  }
}

async function checkSame(
  sts: MtaSts,
  theirCache: ReadonlyMap<string, MTASTSPolicy>,
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    const lookup = await sts.getPolicy(name)
    const theirs = theirCache.get(name)
    const same =
      lookup.status === 'found' &&
      lookup.failure === undefined &&
      lookup.policy.mx.join() === theirs?.mx?.join() &&
      lookup.policy.mode === theirs.mode &&
      lookup.policy.maxAge === theirs.maxAge
    if (!same) throw new Error(`The two do not know the same of ${name}`)
  }
}

const AT_A_TIME = 1000

/**
 * Looks up one domain after the other, in another order than that of caching, and with new strings,
 * as they come out of addresses. Making the strings is not counted.
 */
function legOf(
  domains: number,
  calls: number,
  countFound: (names: readonly string[]) => number | Promise<number>,
): Leg {
  return async () => {
    const random = randomNumbers(domains)
    let ms = 0
    for (let done = 0; done < calls; done += AT_A_TIME) {
      const names = Array.from({ length: AT_A_TIME }, () =>
        nameIn(`someone@cached${random()}.example`),
      )
      const begin = performance.now()
      const found = await countFound(names)
      ms += performance.now() - begin
      if (found !== names.length) throw new Error(`${found} of ${names.length} were found`)
    }
    return (calls * 1000) / ms
  }
}

function nameIn(address: string): string {
  return address.slice(address.indexOf('@') + 1)
}

/** The same numbers below `bound` in every run. */
function randomNumbers(bound: number): () => number {
  let state = 1
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state % bound
  }
}
