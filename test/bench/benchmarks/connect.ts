/**
 * The cost for a program that opens a connection for every message, as one with only a library that
 * finds the MX host and its policy.
 *
 * @module
 */
import { Resolver } from 'node:dns'
import type { MTASTSPolicy } from 'mailauth'
import { mtaStsTransport } from 'mta-sts/nodemailer'
import mxConnect from 'mx-connect'
import { createTransport } from 'nodemailer'
import MailComposer from 'nodemailer/lib/mail-composer/index.js'
import SMTPConnection from 'nodemailer/lib/smtp-connection/index.js'
import { atLeast, type Benchmark, pairedRow, planFor } from '../benchmark.js'
import { checkTaken, messageTo } from '../messages.js'
import { Network, SENDER } from '../network.js'
import { alternate, inFlight, perSecond } from '../pairs.js'
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
        await checkTaken(network.sink, count)
        return rate
      },
      async theirs() {
        const rate = await perSecond(theirCount, () =>
          inFlight(theirCount, LIMITS.maxConnections, send),
        )
        await checkTaken(network.sink, theirCount)
        return rate
      },
    },
    planFor(mode),
  )
  transporter.close()
  return {
    rows: [
      pairedRow(figures, {
        name: 'connect',
        what: `${count} messages of 2 KB to one MX host under enforce, pooled`,
        beside: 'a connection for each, with mx-connect and SMTPConnection',
        unit: '/s',
        target: atLeast(20),
      }),
    ],
  }
}

/** Sends one message over a new connection. */
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
