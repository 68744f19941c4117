/**
 * How fast is what every delivery asks first, when it has been asked before?
 *
 * @module
 */
import { LRUCache } from 'lru-cache'
import type { MTASTSPolicy } from 'mailauth'
import { getPolicy, parsePolicy } from 'mailauth/lib/mta-sts.js'
import { MtaSts } from 'mta-sts'
import { atLeast, type Benchmark, MANY_SHORT, pairedRow, planFor } from '../benchmark.js'
import { domainNames, POLICY_ID, RECORD } from '../network.js'
import { alternate, perSecond } from '../pairs.js'
import { learntPolicies, ownMxHosts, policyBody } from '../policies.js'

/** 1,000,000 answers a second where lru-cache's own get does 1,600,000. */
const SHARE_OF_LRU = 1_000_000 / 1_600_000

export const cached: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 1000 : 100_000
  const calls = mode === 'quick' ? 1000 : 400_000
  const names = domainNames(count, 'cached')
  // In another order than that in which they came into the caches, and as other strings
  const asked = shuffled(domainNames(count, 'cached'))

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
    // Without a date of expiry, with which it would be fetched anew
    const policy = { id: POLICY_ID, ...parsePolicy(policyBody(ownMxHosts(name))) }
    theirCache.set(name, policy)
    lru.set(name, policy)
  }
  await checkSame(sts, theirCache, names)

  const answers = [[RECORD]]
  const options = { resolver: async () => answers }
  const legs = {
    ours: () =>
      perSecond(calls, async () => {
        let found = 0
        for (let call = 0; call < calls; call++) {
          const lookup = await sts.getPolicy(at(asked, call))
          if (lookup.status === 'found') found++
        }
        if (found !== calls) throw new Error(`${found} of ${calls} were found`)
      }),
    lru: () =>
      perSecond(calls, () => {
        let found = 0
        for (let call = 0; call < calls; call++) if (lru.get(at(asked, call))) found++
        if (found !== calls) throw new Error(`${found} of ${calls} were found`)
      }),
    theirs: () => {
      const fewer = calls / 10
      return perSecond(fewer, async () => {
        let found = 0
        for (let call = 0; call < fewer; call++) {
          const name = at(asked, call)
          const { status } = await getPolicy(name, theirCache.get(name), options)
          if (status === 'renewed') found++
        }
        if (found !== fewer) throw new Error(`${found} of ${fewer} were found`)
      })
    },
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
          target: atLeast(SHARE_OF_LRU),
        },
      ),
      pairedRow(
        { ours, theirs },
        {
          name: 'cached',
          what,
          beside: 'getPolicy of mailauth with a Map, and a resolver that answers at once',
          unit: '/s',
          target: atLeast(10),
        },
      ),
    ],
  }
}

function at(list: readonly string[], index: number): string {
  return list[index % list.length] ?? ''
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

/** Fisher and Yates, with a generator that gives the same numbers in every run. */
function shuffled(list: string[]): string[] {
  let state = 1
  for (let index = list.length - 1; index > 0; index--) {
    state = (state * 48_271) % 2_147_483_647
    const other = state % (index + 1)
    const swapped = list[index] ?? ''
    list[index] = list[other] ?? ''
    list[other] = swapped
  }
  return list
}
