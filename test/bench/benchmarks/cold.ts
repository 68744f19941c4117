/**
 * The speed of discovering new policies, with DNS, TLS and HTTP.
 *
 * @module
 */
import { createSecureContext } from 'node:tls'
import { getPolicy } from 'mailauth/lib/mta-sts.js'
import { MtaSts } from 'mta-sts'
import { atLeast, type Benchmark, pairedRow, planFor } from '../benchmark.js'
import { domainNames, Network } from '../network.js'
import { alternate, inFlight, perSecond } from '../pairs.js'
import { bareGet, lookUpAddresses } from '../peers/bare.js'
import { leadRequestsTo, resolverFunction } from '../peers/mailauth.js'

const MX_HOSTS = ['mx1.fleet.example', 'mx2.fleet.example']
const MX_LIST = MX_HOSTS.join()
const MX_LAST = `mx: ${MX_HOSTS.at(-1)}`
const IN_FLIGHT = 64

export const cold: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 50 : 500
  const names = domainNames(count, 'cold')
  await using network = await Network.start({ mxHosts: MX_HOSTS, policyDomains: names })
  leadRequestsTo(network)
  const { port } = network.policyHosts
  const secureContext = createSecureContext({ ca: network.ca })

  /** mailauth asks for A, and for AAAA only where there is no A. */
  const check = async (found: number, asksForBoth = true) => {
    const { gets } = await network.policyHosts.take()
    const { TXT, A, AAAA } = await network.dns.take()
    const asked = asksForBoth ? [A, AAAA] : [A]
    if ([found, gets, TXT, ...asked].every((done) => done === count)) return
    const queries = `${TXT} queries for TXT, ${A} for A, ${AAAA} for AAAA`
    throw new Error(`${count} domains: ${found} policies, ${gets} GETs, ${queries}`)
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
      async limit() {
        let found = 0
        const resolver = network.resolver()
        const rate = await perSecond(count, () =>
          inFlight(count, IN_FLIGHT, async (index) => {
            const name = `mta-sts.${names[index]}`
            await resolver.resolveTxt(`_${name}`)
            await lookUpAddresses(name, resolver)
            const target = { port, secureContext, name }
            const response = await bareGet(target, '/.well-known/mta-sts.txt')
            if (response.startsWith('HTTP/1.1 200') && response.includes(MX_LAST)) found++
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
        await check(found, false)
        return rate
      },
    },
    planFor(mode),
  )
  const what = `discoveries of ${count} domains, ${IN_FLIGHT} in flight`
  return {
    rows: [
      pairedRow(
        { ours: figures.ours, theirs: figures.limit },
        {
          name: 'cold',
          what,
          beside: 'the limit: the DNS queries and a GET over bare TLS for each',
          unit: '/s',
          sameWork: true,
          target: atLeast(0.85),
        },
      ),
      pairedRow(figures, {
        name: 'cold',
        what,
        beside: 'getPolicy of mailauth',
        unit: '/s',
        sameWork: true,
        target: atLeast(1.1),
      }),
    ],
  }
}
