/**
 * The speed of discovering new policies, with DNS, TLS and HTTP.
 *
 * @module
 */
import { getPolicy } from 'mailauth/lib/mta-sts.js'
import { MtaSts } from 'mta-sts'
import { atLeast, type Benchmark, pairedRow, planFor } from '../benchmark.js'
import { domainNames, Network } from '../network.js'
import { alternate, inFlight, perSecond } from '../pairs.js'
import { leadRequestsTo, resolverFunction } from '../peers/mailauth.js'

const MX_HOSTS = ['mx1.fleet.example', 'mx2.fleet.example']
const MX_LIST = MX_HOSTS.join()
const IN_FLIGHT = 64

export const cold: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 50 : 500
  const names = domainNames(count, 'cold')
  await using network = await Network.start({ mxHosts: MX_HOSTS, policyDomains: names })
  leadRequestsTo(network)

  const check = async (found: number) => {
    const { gets } = await network.policyHosts.take()
    const { TXT } = await network.dns.take()
    if (found === count && gets === count && TXT === count) return
    throw new Error(`${count} domains: ${found} policies, ${TXT} TXT queries, ${gets} GETs`)
  }
  const figures = await alternate(
    {
      async ours() {
        let found = 0
        await using sts = new MtaSts(network.senderOptions())
        const rate = await perSecond(count, () =>
          inFlight(count, IN_FLIGHT, async (index) => {
            const lookup = await sts.getPolicy(names[index] ?? '')
            if (lookup.status === 'found' && lookup.policy.mx.join() === MX_LIST) found++
          }),
        )
        await check(found)
        return rate
      },
      async theirs() {
        let found = 0
        const resolver = resolverFunction(network.resolver())
        const rate = await perSecond(count, () =>
          inFlight(count, IN_FLIGHT, async (index) => {
            const { policy } = await getPolicy(names[index] ?? '', undefined, { resolver })
            if (policy.mode === 'enforce' && policy.mx?.join() === MX_LIST) found++
          }),
        )
        await check(found)
        return rate
      },
    },
    planFor(mode),
  )
  return {
    rows: [
      pairedRow(figures, {
        name: 'cold',
        what: `discoveries of ${count} domains, ${IN_FLIGHT} in flight`,
        beside: 'getPolicy of mailauth',
        unit: '/s',
        target: atLeast(2),
      }),
    ],
    skipped: [
      'Not asked: postfix-mta-sts-resolver. It takes neither a resolver nor a port, and there is no network of its own here as in the lab.',
    ],
  }
}
