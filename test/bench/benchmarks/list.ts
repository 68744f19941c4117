/**
 * A mailing list: one message to many recipients of many domains.
 *
 * @module
 */
import { MtaSts } from 'mta-sts'
import { mtaStsTransport } from 'mta-sts/nodemailer'
import { createTransport } from 'nodemailer'
import {
  atLeast,
  atMost,
  type Benchmark,
  type Mode,
  pairedRow,
  planFor,
  type Row,
} from '../benchmark.js'
import { checkTaken, messageTo } from '../messages.js'
import { domainNames, Network } from '../network.js'
import { alternate, inFlight, perSecond, spread } from '../pairs.js'
import { peakMemory } from '../peak.js'
import { learntPolicies } from '../policies.js'
import { BESIDE_POOL, IN_FLIGHT, LIMITS, MX_HOST, nodemailerPool } from './pool.js'

/** Recipients of each domain. */
const RECIPIENTS = 5

const MEGABYTES = 8

const LIST = 'readers@sender.example'
const SENDER_ADDRESS = 'sender@sender.example'

export const list: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 20 : 2000
  const names = domainNames(count, 'listed')
  await using network = await Network.start({ mxHosts: [MX_HOST] })
  const options = network.senderOptions()
  await using sts = new MtaSts({ ...options, store: learntPolicies([MX_HOST]) })
  for (const name of names) await sts.getPolicy(name)
  const { name, connect } = options
  const limits = { ...LIMITS, maxConnectionsPerHost: LIMITS.maxConnections }
  const ours = createTransport(mtaStsTransport({ name, connect, sts, ...limits }))
  const theirs = nodemailerPool(network)

  const everybody = names.flatMap(recipientsOf)
  const leg = (send: () => Promise<unknown>) => async () => {
    const rate = await perSecond(everybody.length, async () => void (await send()))
    await checkTaken(network.sink, { messages: count, recipients: everybody.length })
    return rate
  }
  // The same message on both sides: a list does not name its 10,000 recipients in "To"
  const listed = (to: string[]) => ({ ...messageTo(LIST), envelope: { from: SENDER_ADDRESS, to } })
  const sendEach = (index: number) => theirs.sendMail(listed(recipientsOf(names[index] ?? '')))
  const figures = await alternate(
    {
      ours: leg(() => ours.sendMail(listed(everybody))),
      theirs: leg(() => inFlight(count, IN_FLIGHT, sendEach)),
    },
    planFor(mode),
  )
  const memory = await memoryRow(mode, {
    network,
    send: (text, domains) =>
      ours.sendMail({ ...messageTo(''), text, to: names.slice(0, domains).map(recipientOf) }),
  })
  ours.close()
  theirs.close()
  return {
    rows: [
      pairedRow(figures, {
        name: 'list',
        what: `one message of 2 KB to ${everybody.length} recipients of ${count} domains, recipients`,
        beside: `a message for each domain by ${BESIDE_POOL}`,
        unit: '/s',
        sameWork: true,
        target: atLeast(1),
      }),
      memory,
    ],
  }
}

/** A large message, so that a second copy would be noticed. */
async function memoryRow(
  mode: Mode,
  { network, send }: { network: Network; send(text: string, domains: number): Promise<unknown> },
): Promise<Row> {
  const domains = mode === 'quick' ? 5 : 50
  const text = 'A line of text that is as long as another.\r\n'.repeat((MEGABYTES * 2 ** 20) / 44)
  const { ours } = await alternate(
    {
      async ours() {
        const peak = await peakMemory(async () => void (await send(text, domains)))
        await checkTaken(network.sink, { messages: domains, size: text.length })
        return peak / text.length
      },
    },
    planFor(mode),
  )
  return {
    name: 'list',
    what: `memory at its peak for one message of ${MEGABYTES} MB to ${domains} domains, in copies of it`,
    unit: '',
    ours: spread(ours.values),
    target: atMost(3),
  }
}

function recipientsOf(domain: string): string[] {
  return Array.from({ length: RECIPIENTS }, (_, index) => `someone${index}@${domain}`)
}

function recipientOf(domain: string): string {
  return `someone@${domain}`
}
