/**
 * The cost of DANE for a delivery, with all answers in the resolver's cache.
 *
 * @module
 */
import { createHash, X509Certificate } from 'node:crypto'
import type { Resolver } from 'mta-sts'
import { dane as createDane, type DnssecResolver, type RecordData } from 'mta-sts/dane'
import { mtaStsTransport } from 'mta-sts/nodemailer'
import { createTransport } from 'nodemailer'
import { atLeast, type Benchmark, pairedRow, planFor } from '../benchmark.js'
import { checkTaken, messageTo } from '../messages.js'
import { ADDRESS, domainNames, Network, RECORD } from '../network.js'
import { alternate, inFlight, perSecond } from '../pairs.js'
import { learntPolicies } from '../policies.js'
import { IN_FLIGHT } from './pool.js'

const FLEET = ['mx1.fleet.example', 'mx2.fleet.example', 'mx3.fleet.example']

export const dane: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 100 : 3000
  const names = domainNames(count, 'secure')
  await using network = await Network.start({ mxHosts: FLEET })
  const { name, ca, connect } = network.senderOptions()
  const cached = cachedResolver(network.mxCertificate)
  const common = { name, ca, connect, store: learntPolicies(FLEET) }
  const transporters = {
    ours: createTransport(mtaStsTransport({ ...common, dane: createDane({ resolver: cached }) })),
    theirs: createTransport(mtaStsTransport({ ...common, resolver: plain(cached) })),
  }
  const leg = (side: keyof typeof transporters) => async () => {
    const proof = side === 'ours' ? 'dane' : 'sts'
    let proved = 0
    const rate = await perSecond(count, () =>
      inFlight(count, IN_FLIGHT, async (index) => {
        const message = messageTo(`someone@${names[index]}`)
        const { deliveries } = await transporters[side].sendMail(message)
        if (deliveries[0]?.proved === proof) proved++
      }),
    )
    await checkTaken(network.sink, { messages: count })
    if (proved !== count) throw new Error(`${proved} of ${count} were proved by ${proof}`)
    return rate
  }
  const figures = await alternate({ ours: leg('ours'), theirs: leg('theirs') }, planFor(mode))
  for (const transporter of Object.values(transporters)) transporter.close()
  return {
    rows: [
      pairedRow(figures, {
        name: 'dane',
        what: `a message to each of ${count} domains with policy and TLSA records, all cached`,
        beside: 'the same without DANE',
        unit: '/s',
        sameWork: true,
        target: atLeast(0.9),
      }),
    ],
  }
}

/** Answers every name at once, and securely. */
function cachedResolver(certificate: string): DnssecResolver {
  const key = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' })
  const data = createHash('sha256').update(key).digest()
  const answers: RecordAnswers = {
    A: [ADDRESS],
    AAAA: [],
    CNAME: [],
    MX: FLEET.map((exchange) => ({ exchange, priority: 10 })),
    TLSA: [{ usage: 3, selector: 1, matchingType: 1, data }],
    TXT: [[RECORD]],
  }
  return {
    async query(name, type) {
      const records = answers[type]
      return records.length === 0
        ? { kind: 'absent', nxdomain: false, secure: true, name }
        : { kind: 'found', records, secure: true, name }
    },
    validates: async () => true,
    resolveTxt: async () => answers.TXT,
    resolveMx: async () => answers.MX,
    resolve4: async () => answers.A,
    resolve6: async () => answers.AAAA,
  }
}

type RecordAnswers = { [Type in keyof RecordData]: RecordData[Type][] }

function plain({ resolveTxt, resolveMx, resolve4, resolve6 }: DnssecResolver): Resolver {
  return { resolveTxt, resolveMx, resolve4, resolve6 }
}
