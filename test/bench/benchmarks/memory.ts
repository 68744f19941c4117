/**
 * The memory of a cached policy, with everything that finds, orders and evicts it.
 *
 * @module
 */
import { parsePolicy } from 'mailauth/lib/mta-sts.js'
import { MtaSts } from 'mta-sts'
import { type Benchmark, pairedRow, planFor } from '../benchmark.js'
import { MAX_AGE, POLICY_ID, RECORD } from '../network.js'
import { alternate } from '../pairs.js'
import { learntPolicies, ownMxHosts, policyBody } from '../policies.js'

export const memory: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 2000 : 100_000
  const figures = await alternate(
    {
      async ours() {
        const resolver = {
          resolveTxt: async () => [[RECORD]],
          resolveMx: async () => [],
          resolve4: async () => [],
          resolve6: async () => [],
        }
        const before = await bytesInUse()
        await using sts = new MtaSts({ resolver, store: learntPolicies() })
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
        ...(mode === 'full' ? { target: { of: 'ours', bound: 'at-most', value: 1024 } } : {}),
      }),
    ],
  }
}

/** Makes a string that lives no longer than the entry with this key. */
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
