/**
 * A newsletter to an uncached domain: a thousand concurrent deliveries that need the same policy.
 *
 * @module
 */
import { getPolicy } from 'mailauth/lib/mta-sts.js'
import { MtaSts } from 'mta-sts'
import { atMost, type Benchmark, pairedRow, planFor, type Row } from '../benchmark.js'
import { Network } from '../network.js'
import { alternate, spread } from '../pairs.js'
import { leadRequestsTo, resolverFunction } from '../peers/mailauth.js'

const DOMAIN = 'burst0.example'
const MX_HOSTS = ['mx1.fleet.example', 'mx2.fleet.example']

export const burst: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 100 : 1000
  await using network = await Network.start({ mxHosts: MX_HOSTS, policyDomains: [DOMAIN] })
  leadRequestsTo(network)

  const legOf = (deliverAll: () => Promise<number>) => {
    const queries: number[] = []
    const gets: number[] = []
    const run = async () => {
      const begin = performance.now()
      const protectedOnes = await deliverAll()
      const took = performance.now() - begin
      if (protectedOnes !== count) throw new Error(`${protectedOnes} of ${count} had the policy`)
      queries.push((await network.dns.take()).TXT)
      gets.push((await network.policyHosts.take()).gets)
      return took
    }
    return { run, queries, gets }
  }
  const ours = legOf(async () => {
    await using sts = new MtaSts(network.senderOptions())
    const deliver = () => sts.deliver(DOMAIN, async ({ security }) => security.level)
    return countOf(await Promise.all(Array.from({ length: count }, deliver)), 'authenticated')
  })
  const theirs = legOf(async () => {
    const resolver = resolverFunction(network.resolver())
    const deliver = async () => (await getPolicy(DOMAIN, undefined, { resolver })).policy.mode
    return countOf(await Promise.all(Array.from({ length: count }, deliver)), 'enforce')
  })
  const figures = await alternate({ ours: ours.run, theirs: theirs.run }, planFor(mode))
  // Not about speed
  const most = Math.max(...ours.queries, ...ours.gets)
  if (most !== 1) throw new Error(`The domain was asked ${most} times, and not once`)
  const what = `for ${count} deliveries at once to one unknown domain`
  const beside = 'getPolicy of mailauth'
  const counted = (name: string, us: readonly number[], them: readonly number[]): Row => ({
    name: 'burst',
    what: `${name} ${what}`,
    beside,
    unit: '',
    ours: spread(us),
    theirs: spread(them),
    target: atMost(1),
  })
  return {
    rows: [
      counted('TXT queries', ours.queries, theirs.queries),
      counted('GETs', ours.gets, theirs.gets),
      pairedRow(figures, { name: 'burst', what: `time ${what}`, beside, unit: 'ms' }),
    ],
  }
}

function countOf<T>(list: readonly T[], value: T): number {
  return list.filter((item) => item === value).length
}
