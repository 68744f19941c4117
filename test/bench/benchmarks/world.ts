/**
 * What the mail world of `mta-sts/testing` costs a test, beside a bare `smtp-server` that a test
 * sets up itself.
 *
 * @module
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { mtaStsTransport } from 'mta-sts/nodemailer'
import { createMailWorld } from 'mta-sts/testing'
import { createTransport } from 'nodemailer'
import { SMTPServer } from 'smtp-server'
import { CertificateAuthority } from '../../../src/testing/authority.js'
import { atLeast, type Benchmark, MANY_SHORT, pairedRow, planFor } from '../benchmark.js'
import { alternate, elapsed, inFlight, perSecond } from '../pairs.js'

const HOST = 'mx.bob.example'
const MESSAGE = { from: 'a@sender.example', to: 'b@bob.example', subject: 'Hi', text: 'Hello' }
const POOL = { pool: true, maxConnections: 5, maxMessages: Number.POSITIVE_INFINITY } as const

interface Bare extends AsyncDisposable {
  /** Options for Nodemailer, with TLS verified */
  options: { host: string; port: number; requireTLS: true; tls: { ca: string; servername: string } }
  /** How many messages it took */
  taken(): number
}

/** The server that tests without a mail world have: it takes mail and keeps it. */
async function bareServer(authority: CertificateAuthority): Promise<Bare> {
  const messages: Buffer[] = []
  const server = new SMTPServer({
    ...authority.credentials({ san: [`DNS:${HOST}`] }),
    authOptional: true,
    disableReverseLookup: true,
    logger: false,
    onData(stream, _session, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk) => chunks.push(chunk))
      stream.on('end', () => {
        messages.push(Buffer.concat(chunks))
        done()
      })
    },
  })
  server.listen(0, '127.0.0.1')
  await once(server.server, 'listening')
  const { port } = server.server.address() as AddressInfo
  const tls = { ca: authority.root, servername: HOST }
  return {
    options: { host: '127.0.0.1', port, requireTLS: true, tls },
    taken: () => messages.length,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  }
}

function checkCount(found: number, expected: number): void {
  if (found !== expected) throw new Error(`${found} of ${expected} messages arrived`)
}

export const world: Benchmark = async (mode) => {
  const authority = await CertificateAuthority.create()
  const count = mode === 'quick' ? 50 : 2000
  const sendAll = (transporter: { sendMail(message: object): Promise<unknown> }): Promise<number> =>
    perSecond(count, () => inFlight(count, 50, () => transporter.sendMail(MESSAGE)))

  const messages = await alternate(
    {
      ours: async () => {
        await using mailWorld = await createMailWorld()
        const bob = mailWorld.domain('bob.example')
        const transporter = createTransport({ ...mailWorld.nodemailer(bob.mx()), ...POOL })
        const rate = await sendAll(transporter)
        checkCount(bob.inbox.length, count)
        transporter.close()
        return rate
      },
      theirs: async () => {
        await using bare = await bareServer(authority)
        const transporter = createTransport({ ...bare.options, ...POOL })
        const rate = await sendAll(transporter)
        checkCount(bare.taken(), count)
        transporter.close()
        return rate
      },
    },
    planFor(mode),
  )

  const theirs = () =>
    elapsed(async () => {
      await using bare = await bareServer(authority)
      const transporter = createTransport(bare.options)
      await transporter.sendMail(MESSAGE)
      transporter.close()
    })
  const first = await alternate(
    {
      ours: () =>
        elapsed(async () => {
          await using mailWorld = await createMailWorld()
          const bob = mailWorld.domain('bob.example', { mode: 'enforce' })
          const transporter = createTransport(mtaStsTransport(mailWorld.options()))
          await transporter.sendMail(MESSAGE)
          checkCount(bob.inbox.length, 1)
          transporter.close()
        }),
      theirs,
    },
    planFor(mode, MANY_SHORT),
  )

  await using shared = await createMailWorld()
  const transporter = createTransport(mtaStsTransport(shared.options()))
  let domains = 0
  const domain = await alternate(
    {
      ours: () =>
        elapsed(async () => {
          const name = `d${domains++}.example`
          const made = shared.domain(name, { mode: 'enforce' })
          await transporter.sendMail({ ...MESSAGE, to: `b@${name}` })
          checkCount(made.inbox.length, 1)
        }),
      theirs,
    },
    planFor(mode, MANY_SHORT),
  )
  transporter.close()

  return {
    rows: [
      pairedRow(messages, {
        name: 'world messages',
        what: `${count} messages by Nodemailer's pool to an MX host of a mail world`,
        beside: 'the same to a bare smtp-server, which reads and records nothing',
        unit: '/s',
        target: atLeast(0.4),
      }),
      pairedRow(first, {
        name: 'world first',
        what: 'a new world with an enforce domain, its first delivery, its end',
        beside: 'a bare smtp-server with STARTTLS, one delivery by Nodemailer, its end',
        unit: 'ms',
        target: { of: 'compared', bound: 'at-most', value: 3.5 },
      }),
      pairedRow(domain, {
        name: 'world domain',
        what: 'a new enforce domain in a world, and its first delivery: DNS, policy, MX, TLS twice',
        beside: 'a bare smtp-server with STARTTLS, one delivery by Nodemailer, its end',
        unit: 'ms',
        target: { of: 'compared', bound: 'at-most', value: 2.5 },
      }),
    ],
  }
}
