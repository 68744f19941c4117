/** withMtaSts: a policy that becomes known before the login. */
import { once } from 'node:events'
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net'
import nodemailer, { type SMTPTransportOptions } from 'nodemailer'
import { expect, onTestFinished, test } from 'vitest'
import { MtaSts, type PolicyStore } from '../../src/index.js'
import { withMtaSts } from '../../src/nodemailer/index.js'
import { errorOf, messageTo } from '../e2e/support.js'

const HOST = 'smtp.host.example'
const AUTH = { user: 'me', pass: 'secret' }
const BODY = `version: STSv1\nmode: enforce\nmx: ${HOST}\nmax_age: 86400\n`

/** A host without STARTTLS that wants a login; before its first reply to EHLO it calls `before`. */
async function holding(before: () => Promise<void>) {
  const heard: string[] = []
  let held = false
  const server = createServer((socket) => {
    const say = async (at: string, text: string) => {
      if (at === 'EHLO' && !held) {
        held = true
        await before()
      }
      socket.write(text)
    }
    socket.on('error', () => {})
    void say('greeting', '220 here\r\n')
    socket.on('data', (chunk) => {
      for (const line of chunk.toString().trim().split('\r\n')) {
        const [word = ''] = line.split(' ')
        heard.push(word)
        const replies: Record<string, string> = {
          EHLO: '250-here\r\n250 AUTH PLAIN\r\n',
          AUTH: '235 Welcome\r\n',
          DATA: '354 Go ahead\r\n',
        }
        void say(word, replies[word] ?? '250 Fine\r\n')
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  return { heard, connect: () => connectTcp(port, '127.0.0.1') }
}

/** An MtaSts that knows no policy before `learn()`, and then one of mode enforce. */
function learning(connect: () => ReturnType<typeof connectTcp>) {
  let known = false
  const now = Date.now()
  const entry = { id: '1', body: BODY, fetchedAt: now, expiresAt: now + 86_400_000, usedAt: now }
  const store: PolicyStore = {
    get: async () => (known ? entry : undefined),
    set: async () => {},
    delete: async () => {},
  }
  const resolver = {
    resolveTxt: async () => [],
    resolveMx: async () => [],
    resolve4: async () => ['192.0.2.1'],
    resolve6: async () => [],
  }
  const sts = new MtaSts({ connect, resolver, store, negativeTtl: 0 })
  const learn = async () => {
    known = true
    expect(await sts.getPolicy(HOST)).toMatchObject({ policy: { mode: 'enforce' } })
  }
  return { sts, learn, resolver }
}

const TRANSPORTS = [
  { title: 'single', options: { auth: AUTH }, message: {} },
  { title: 'single, login of the message', options: {}, message: { auth: AUTH } },
  { title: 'pool', options: { auth: AUTH, pool: true, maxConnections: 1 }, message: {} },
]

test.each(TRANSPORTS)(
  '[STS-51] [STS-48] $title: a policy of mode enforce that becomes known before the reply to EHLO stops the login',
  async ({ options, message }) => {
    let learn = async () => {}
    const { heard, connect } = await holding(() => learn())
    const { sts, resolver, ...rest } = learning(connect)
    learn = rest.learn
    const smartHost = { host: HOST, port: 587, ...options } as SMTPTransportOptions
    const transport = withMtaSts(smartHost, { sts, connect, resolver })
    const transporter = nodemailer.createTransport(transport)
    onTestFinished(async () => {
      transporter.close()
      await sts.close()
    })

    const error = await errorOf(transporter.sendMail({ ...messageTo('you.example'), ...message }))

    expect(error).toMatchObject({ code: 'EMTASTS', permanent: false })
    expect(heard).toContain('EHLO')
    expect(heard).not.toContain('AUTH')
    expect(heard).not.toContain('MAIL')
  },
)

test.each(TRANSPORTS)('$title: logs in without a policy', async ({ options, message }) => {
  const { heard, connect } = await holding(async () => {})
  const { sts, resolver } = learning(connect)
  const smartHost = { host: HOST, port: 587, ...options } as SMTPTransportOptions
  const transporter = nodemailer.createTransport(withMtaSts(smartHost, { sts, connect, resolver }))
  onTestFinished(async () => {
    transporter.close()
    await sts.close()
  })

  await transporter.sendMail({ ...messageTo('you.example'), ...message })

  expect(heard.slice(0, 3)).toEqual(['EHLO', 'AUTH', 'MAIL'])
})
