/**
 * The cost of enforcement for a message on reused connections, compared with Nodemailer's own pool
 * without policies and MX lookups.
 *
 * @module
 */
import { mtaStsTransport } from 'mta-sts/nodemailer'
import { createTransport, type Transporter } from 'nodemailer'
import { atLeast, type Benchmark, pairedRow, planFor, type Row } from '../benchmark.js'
import { checkTaken, messageTo } from '../messages.js'
import { Network, SENDER } from '../network.js'
import { alternate, inFlight, type Plan, perSecond } from '../pairs.js'

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
  return {
    rows: [
      await poolRow(network, {
        name: 'pool',
        what: `${count} messages of 2 KB to one MX host under enforce, pooled`,
        count,
        plan: planFor(mode),
        target: 1.1,
      }),
    ],
  }
}

interface PoolRow {
  name: string
  what: string
  count: number
  plan: Plan
  target: number
}

/** Sends messages to the one MX host, by both pools. */
export async function poolRow(
  network: Network,
  { name, what, count, plan, target }: PoolRow,
): Promise<Row> {
  const [ours, theirs] = poolTransporters(network)
  const leg = (transporter: PoolTransporter) => async () => {
    const rate = await perSecond(count, () =>
      inFlight(count, IN_FLIGHT, () => transporter.sendMail(messageTo(RECIPIENT))),
    )
    await checkTaken(network.sink, { messages: count })
    return rate
  }
  const figures = await alternate({ ours: leg(ours), theirs: leg(theirs) }, plan)
  ours.close()
  theirs.close()
  return pairedRow(figures, {
    name,
    what,
    beside: BESIDE_POOL,
    unit: '/s',
    sameWork: true,
    target: atLeast(target),
  })
}

export const BESIDE_POOL = "Nodemailer's own pool with requireTLS and the same limits"

export type PoolTransporter = Pick<Transporter<unknown>, 'sendMail' | 'close'>

/** Our transport and Nodemailer's pool, with the same limits, to the same MX host. */
export function poolTransporters(
  network: Network,
): [ours: PoolTransporter, theirs: PoolTransporter] {
  const ours = createTransport(
    mtaStsTransport({
      ...network.senderOptions(),
      maxConnectionsPerHost: LIMITS.maxConnections,
      ...LIMITS,
    }),
  )
  return [ours, nodemailerPool(network)]
}

export function nodemailerPool(network: Network): PoolTransporter {
  return createTransport({
    ...LIMITS,
    pool: true,
    name: SENDER,
    host: '127.0.0.1',
    port: network.sink.port,
    requireTLS: true,
    tls: { ca: network.ca, servername: MX_HOST },
  })
}
