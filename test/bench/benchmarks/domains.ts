/**
 * The cost of enforcement where every message goes to another domain: with policies and without,
 * over the same transport and reused connections.
 *
 * @module
 */
import { MtaSts } from 'mta-sts'
import { type MtaStsTransportOptions, mtaStsTransport } from 'mta-sts/nodemailer'
import { createTransport } from 'nodemailer'
import { atLeast, type Benchmark, pairedRow, planFor } from '../benchmark.js'
import { checkTaken, messageTo } from '../messages.js'
import { domainNames, Network } from '../network.js'
import { alternate, inFlight, perSecond } from '../pairs.js'
import { learntPolicies } from '../policies.js'
import { IN_FLIGHT } from './pool.js'

const FLEET = ['mx1.fleet.example', 'mx2.fleet.example', 'mx3.fleet.example']

export const domains: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 100 : 10_000
  const names = domainNames(count, 'recipients')
  await using network = await Network.start({ mxHosts: FLEET })
  const options = network.senderOptions()

  await using sts = new MtaSts({ ...options, store: learntPolicies(FLEET) })
  for (const name of names) {
    const { status } = await sts.getPolicy(name)
    if (status !== 'found') throw new Error(`${name} has no policy`)
  }
  const leg = (transport: MtaStsTransportOptions) => {
    const transporter = createTransport(mtaStsTransport(transport))
    return async () => {
      const rate = await perSecond(count, () =>
        inFlight(count, IN_FLIGHT, (index) =>
          transporter.sendMail(messageTo(`someone@${names[index]}`)),
        ),
      )
      await checkTaken(network.sink, { messages: count })
      return rate
    }
  }
  const overrides = Object.fromEntries(names.map((name) => [name, 'off' as const]))
  await using without = new MtaSts({ ...options, overrides })
  const { name, connect } = options
  const figures = await alternate(
    { ours: leg({ name, connect, sts }), theirs: leg({ name, connect, sts: without }) },
    planFor(mode),
  )
  const { gets } = await network.policyHosts.take()
  if (gets > 0) throw new Error(`The policies were cached, and yet there were ${gets} GETs`)
  return {
    rows: [
      pairedRow(figures, {
        name: 'domains',
        what: `a message to each of ${count} domains on a fleet of 3 MX hosts, policies cached`,
        beside: 'the same transport without MTA-STS',
        unit: '/s',
        sameWork: true,
        target: atLeast(0.95),
      }),
    ],
  }
}
