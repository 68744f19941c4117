/**
 * The cost of enforcement for a message on reused connections, compared with Nodemailer's own pool
 * without policies and MX lookups.
 *
 * @module
 */
import { mtaStsTransport } from 'mta-sts/nodemailer'
import { createTransport } from 'nodemailer'
import { atLeast, type Benchmark, pairedRow, planFor } from '../benchmark.js'
import { checkTaken, messageTo } from '../messages.js'
import { Network, SENDER } from '../network.js'
import { alternate, inFlight, perSecond } from '../pairs.js'

export const MX_HOST = 'mx.fleet.example'
export const DOMAIN = 'pool0.example'
export const RECIPIENT = `someone@${DOMAIN}`

/** As in a program with a queue: more than the connections, so that none is ever idle. */
export const IN_FLIGHT = 50

/** Limits of both. */
export const LIMITS = { maxConnections: 5, maxMessages: 100 }

export const pool: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 100 : 3000
  await using network = await Network.start({ mxHosts: [MX_HOST], policyDomains: [DOMAIN] })
  const ours = createTransport(
    mtaStsTransport({
      ...network.senderOptions(),
      maxConnectionsPerHost: LIMITS.maxConnections,
      ...LIMITS,
    }),
  )
  const theirs = createTransport({
    ...LIMITS,
    pool: true,
    name: SENDER,
    host: '127.0.0.1',
    port: network.sink.port,
    requireTLS: true,
    tls: { ca: network.ca, servername: MX_HOST },
  })
  const leg = (transporter: { sendMail: typeof theirs.sendMail }) => async () => {
    const rate = await perSecond(count, () =>
      inFlight(count, IN_FLIGHT, () => transporter.sendMail(messageTo(RECIPIENT))),
    )
    await checkTaken(network.sink, count)
    return rate
  }
  const figures = await alternate({ ours: leg(ours), theirs: leg(theirs) }, planFor(mode))
  ours.close()
  theirs.close()
  return {
    rows: [
      pairedRow(figures, {
        name: 'pool',
        what: `${count} messages of 2 KB to one MX host under enforce, pooled`,
        beside: "Nodemailer's own pool with requireTLS and the same limits",
        unit: '/s',
        target: atLeast(0.97),
      }),
    ],
  }
}
