/**
 * The cost for a program that opens a connection for every message, as one with only a library that
 * finds the MX host and its policy.
 *
 * @module
 */
import { Resolver } from 'node:dns'
import { createSecureContext } from 'node:tls'
import type { MTASTSPolicy } from 'mailauth'
import { MtaSts } from 'mta-sts'
import { mtaStsTransport } from 'mta-sts/nodemailer'
import mxConnect from 'mx-connect'
import { createTransport } from 'nodemailer'
import MailComposer from 'nodemailer/lib/mail-composer/index.js'
import SMTPConnection from 'nodemailer/lib/smtp-connection/index.js'
import { atLeast, type Benchmark, type Mode, pairedRow, planFor, type Row } from '../benchmark.js'
import { checkTaken, messageTo } from '../messages.js'
import { Network, SENDER } from '../network.js'
import { alternate, inFlight, perSecond } from '../pairs.js'
import { bareDelivery } from '../peers/bare.js'
import { leadRequestsTo } from '../peers/mailauth.js'
import { DOMAIN, IN_FLIGHT, LIMITS, MX_HOST, RECIPIENT } from './pool.js'

export const connect: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 50 : 3000
  // The rate is compared
  const theirCount = mode === 'quick' ? 10 : 250
  await using network = await Network.start({ mxHosts: [MX_HOST], policyDomains: [DOMAIN] })
  const transporter = createTransport(
    mtaStsTransport({
      ...network.senderOptions(),
      ...LIMITS,
      maxConnectionsPerHost: LIMITS.maxConnections,
    }),
  )
  const send = sender(network)

  const figures = await alternate(
    {
      async ours() {
        const rate = await perSecond(count, () =>
          inFlight(count, IN_FLIGHT, () => transporter.sendMail(messageTo(RECIPIENT))),
        )
        await checkTaken(network.sink, { messages: count })
        return rate
      },
      async theirs() {
        const rate = await perSecond(theirCount, () =>
          inFlight(theirCount, LIMITS.maxConnections, send),
        )
        await checkTaken(network.sink, { messages: theirCount })
        return rate
      },
    },
    planFor(mode),
  )
  transporter.close()
  return {
    rows: [
      ...(await besideTheLimit(network, mode)),
      pairedRow(figures, {
        name: 'connect',
        what: `${count} messages of 2 KB to one MX host under enforce, pooled`,
        beside: 'a connection for each, with mx-connect and SMTPConnection',
        unit: '/s',
        target: atLeast(8),
      }),
    ],
  }
}

/**
 * A connection for each message, on all sides. The transport composes each message, as Nodemailer's
 * own transports do; `MtaSts.open()` and the limit send one that is composed already.
 */
async function besideTheLimit(network: Network, mode: Mode): Promise<Row[]> {
  const count = mode === 'quick' ? 25 : 500
  await using sts = new MtaSts(network.senderOptions())
  const transporter = createTransport(
    mtaStsTransport({
      ...network.senderOptions(),
      ...LIMITS,
      maxConnectionsPerHost: LIMITS.maxConnections,
      maxMessages: 1,
    }),
  )
  const target = {
    port: network.sink.port,
    name: MX_HOST,
    secureContext: createSecureContext({ ca: network.ca }),
  }
  const composed = await new MailComposer(messageTo(RECIPIENT)).compile().build()
  const message = composed.toString('latin1')
  const envelope: [string, string] = ['sender@sender.example', RECIPIENT]
  const [from, to] = envelope
  const leg = (send: () => Promise<unknown>) => async () => {
    const rate = await perSecond(count, () => inFlight(count, LIMITS.maxConnections, send))
    const { connections, secured } = await checkTaken(network.sink, { messages: count })
    if (connections === count && secured === count) return rate
    throw new Error(`${connections} connections for ${count} messages, ${secured} with TLS`)
  }
  const figures = await alternate(
    {
      transport: leg(() => transporter.sendMail(messageTo(RECIPIENT))),
      open: leg(async () => {
        const connection = await sts.open(DOMAIN, { name: SENDER })
        await connection.send({ from, to: [to] }, message)
        await connection.quit()
      }),
      limit: leg(() => bareDelivery(target, { name: SENDER, envelope, message })),
    },
    planFor(mode),
  )
  transporter.close()
  const what = `${count} messages of 2 KB to one MX host under enforce, a connection for each`
  const common = {
    name: 'connect',
    beside: 'the limit: loops of tls.connect, EHLO and a message that is composed already',
    unit: '/s',
    target: atLeast(0.9),
  } as const
  return [
    pairedRow({ ours: figures.transport, theirs: figures.limit }, { ...common, what }),
    pairedRow(
      { ours: figures.open, theirs: figures.limit },
      { ...common, what: `${what}, composed already, by MtaSts.open()`, sameWork: true },
    ),
  ]
}

/** Sends one message over a connection of its own. */
function sender(network: Network): () => Promise<void> {
  const resolver = new Resolver()
  resolver.setServers([`127.0.0.1:${network.dns.port}`])
  leadRequestsTo(network)
  const cache = new Map<string, MTASTSPolicy>()
  return async () => {
    const message = new MailComposer(messageTo(RECIPIENT)).compile()
    const found = await mxConnect({
      target: RECIPIENT,
      dnsOptions: { resolve: resolver.resolve.bind(resolver), blockLocalAddresses: false },
      mtaSts: {
        enabled: true,
        cache: {
          // As in its README. A policy cached in this way is fetched again for every message until
          // it has expired: mailauth 4.13 compares the date the wrong way round
          get: async (domain) => cache.get(domain) ?? false,
          set: async (domain, policy) => cache.set(domain, policy),
        },
      },
      connectHook(_delivery, options, done) {
        options.host = '127.0.0.1'
        options.port = network.sink.port
        done()
      },
    })
    if (!found.policyMatch.valid || found.policyMatch.mode !== 'enforce') {
      throw new Error('mx-connect did not look at the policy')
    }
    const connection = new SMTPConnection({
      connection: found.socket,
      name: SENDER,
      host: found.hostname,
      requireTLS: true,
      tls: { ca: network.ca, servername: found.hostname },
    })
    await new Promise<void>((resolve, reject) => {
      connection.once('error', reject)
      connection.connect(() => {
        connection.send(message.getEnvelope(), message.createReadStream(), (error) => {
          connection.quit()
          if (error) reject(error)
          else resolve()
        })
      })
    })
  }
}
