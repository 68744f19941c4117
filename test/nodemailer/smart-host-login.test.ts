/** withMtaSts: a policy that becomes known before or during the login, or between MAIL and RCPT. */
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net'
import nodemailer, { type SMTPTransportOptions } from 'nodemailer'
import { expect, onTestFinished, test } from 'vitest'
import { MtaSts, type PolicyStore } from '../../src/index.js'
import { withMtaSts } from '../../src/nodemailer/index.js'
import { errorOf, messageTo } from '../e2e/support.js'
import { deferred } from '../policy/scripted-network.js'

const HOST = 'smtp.host.example'
const AUTH = { user: 'me', pass: 'secret' }
const OAUTH2 = { type: 'OAuth2' as const, user: 'me', accessToken: 'sesame' }

interface Holding {
  /** The command before whose first reply `before` is called; `user` is the line after AUTH LOGIN */
  at?: string
  method?: string
  before?: () => Promise<void>
  /** The mode of the policy; default: enforce */
  mode?: 'testing'
  /** The replies to the first AUTH commands; 235 to the others */
  authReplies?: string[]
}

/** A host without STARTTLS that wants a login, and refuses an empty name or password. */
async function holding({
  at = 'nothing',
  method = 'PLAIN',
  before = async () => {},
  authReplies = [],
}: Holding) {
  const authRepliesLeft = [...authReplies]
  const heard: string[] = []
  const lines: string[] = []
  let held = false
  const server = createServer((socket) => {
    const say = async (place: string, text: string) => {
      if (place === at && !held) {
        held = true
        await before()
      }
      socket.write(text)
    }
    socket.on('error', () => {})
    void say('greeting', '220 here\r\n')
    /** What the next line is, where it is no command */
    let next: string | undefined
    const replyTo = (word: string, line: string): string => {
      if ((word === 'user' || word === 'pass') && line === '') return '535 Nobody\r\n'
      if (word === 'AUTH' && /LOGIN|CRAM/.test(method)) {
        next = method === 'LOGIN' ? 'user' : 'pass'
        return '334 PGFAYj4=\r\n'
      }
      if (word === 'user') {
        next = 'pass'
        return '334 UGFzc3dvcmQ6\r\n'
      }
      const replies: Record<string, string> = {
        EHLO: `250-here\r\n250 AUTH ${method}\r\n`,
        AUTH: word === 'AUTH' ? (authRepliesLeft.shift() ?? '235 Welcome\r\n') : '',
        pass: '235 Welcome\r\n',
        DATA: '354 Go ahead\r\n',
      }
      return replies[word] ?? '250 Fine\r\n'
    }
    socket.on('data', (chunk) => {
      for (const line of chunk.toString().replace(/\r\n$/, '').split('\r\n')) {
        lines.push(line)
        const word = next ?? line.split(' ')[0] ?? ''
        next = undefined
        heard.push(word)
        void say(word, replyTo(word, line))
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  return { heard, lines, connect: () => connectTcp(port, '127.0.0.1') }
}

/** An MtaSts that knows no policy before `learn()`, and then one of this mode. */
function learning(connect: () => ReturnType<typeof connectTcp>, mode: string) {
  let known = false
  const now = Date.now()
  const body = `version: STSv1\nmode: ${mode}\nmx: ${HOST}\nmax_age: 86400\n`
  const entry = { id: '1', body, fetchedAt: now, expiresAt: now + 86_400_000, usedAt: now }
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
    expect(await sts.getPolicy(HOST)).toMatchObject({ policy: { mode } })
  }
  return { sts, learn, resolver }
}

/** A host that holds one reply until a policy is known, and a transporter that talks to it. */
async function setting(options: object, where: Holding = {}) {
  let learn = async () => {}
  const host = await holding({ before: () => learn(), ...where })
  const { sts, resolver, ...rest } = learning(host.connect, where.mode ?? 'enforce')
  learn = rest.learn
  const smartHost = { host: HOST, port: 587, ...options } as SMTPTransportOptions
  const transport = withMtaSts(smartHost, { sts, connect: host.connect, resolver })
  const transporter = nodemailer.createTransport(transport)
  onTestFinished(async () => {
    transporter.close()
    await sts.close()
  })
  return { ...host, transporter, learn }
}

const POOL = { pool: true, maxConnections: 1 }
const KINDS = [
  { title: 'single', kind: {} },
  { title: 'pool', kind: POOL },
]
const TRANSPORTS = [
  { title: 'single', options: { auth: AUTH }, message: {} },
  { title: 'single, login of the message', options: {}, message: { auth: AUTH } },
  { title: 'pool', options: { auth: AUTH, ...POOL }, message: {} },
]
const REFUSED = { code: 'EMTASTS', permanent: false }

test.each(TRANSPORTS)(
  '[STS-51] [STS-48] $title: a policy of mode enforce that becomes known before the reply to EHLO stops the login',
  async ({ options, message }) => {
    const { heard, transporter } = await setting(options, { at: 'EHLO' })

    const error = await errorOf(transporter.sendMail({ ...messageTo('you.example'), ...message }))

    expect(error).toMatchObject(REFUSED)
    expect(heard).toContain('EHLO')
    expect(heard).not.toContain('AUTH')
    expect(heard).not.toContain('MAIL')
  },
)

test.each(KINDS)(
  '$title: with forceAuth, a policy that becomes known before the reply to EHLO is reported as such',
  async ({ kind }) => {
    const options = { auth: AUTH, forceAuth: true, ...kind }
    const first = await setting(options, { at: 'EHLO' })
    const second = await setting(options, { at: 'EHLO' })

    const error = await errorOf(first.transporter.sendMail(messageTo('you.example')))
    const failure = await errorOf(second.transporter.verify())

    expect([error, failure]).toMatchObject([REFUSED, REFUSED])
  },
)

test.each(TRANSPORTS)('$title: logs in without a policy', async ({ options, message }) => {
  const { heard, transporter } = await setting(options)

  await transporter.sendMail({ ...messageTo('you.example'), ...message })

  expect(heard.slice(0, 3)).toEqual(['EHLO', 'AUTH', 'MAIL'])
})

/** What a login sends, in base64 or in hexadecimal digits. */
const SECRETS = ['me', 'secret'].map((text) => Buffer.from(text).toString('base64'))

const STEPS = [
  { method: 'LOGIN', at: 'AUTH', secrets: SECRETS },
  { method: 'LOGIN', at: 'user', secrets: SECRETS.slice(1) },
  { method: 'CRAM-MD5', at: 'AUTH', secrets: [Buffer.from('me ').toString('base64')] },
]
const STEPS_OF_TRANSPORTS = TRANSPORTS.flatMap((one) => STEPS.map((step) => ({ ...one, ...step })))

test.each(STEPS_OF_TRANSPORTS)(
  '[STS-51] [STS-48] $title: a policy that becomes known before the reply to $at ends a login by $method',
  async ({ options, message, method, at, secrets }) => {
    const { lines, transporter } = await setting(options, { at, method })

    const error = await errorOf(transporter.sendMail({ ...messageTo('you.example'), ...message }))

    expect(error).toMatchObject(REFUSED)
    expect(lines).toContain(`AUTH ${method}`)
    for (const secret of secrets)
      expect(lines.filter((line) => line.startsWith(secret))).toEqual([])
    expect(lines.join('\n')).not.toContain('MAIL')
  },
)

test.each(STEPS_OF_TRANSPORTS)(
  '$title: a login by $method succeeds without a policy',
  async ({ options, message, method, secrets }) => {
    const { lines, transporter } = await setting(options, { method })

    await transporter.sendMail({ ...messageTo('you.example'), ...message })

    for (const secret of secrets) expect(lines.join('\n')).toContain(secret)
  },
)

test.each(KINDS)(
  '[STS-51] [STS-48] $title: a policy that becomes known while an OAuth2 token is fetched keeps the token back',
  async ({ kind }) => {
    const { heard, transporter, learn } = await setting(
      { auth: { ...OAUTH2, accessToken: undefined }, ...kind },
      { method: 'XOAUTH2' },
    )
    transporter.set('oauth2_provision_cb', (_user, _renew, done) => {
      learn().then(() => done(null, 'sesame'), done)
    })

    const error = await errorOf(transporter.sendMail(messageTo('you.example')))

    expect(error).toMatchObject(REFUSED)
    expect(heard).toContain('EHLO')
    expect(heard).not.toContain('AUTH')
    expect(heard).not.toContain('MAIL')
  },
)

test.each(KINDS)('$title: sends its OAuth2 token without a policy', async ({ kind }) => {
  const { lines, transporter } = await setting({ auth: OAUTH2, ...kind }, { method: 'XOAUTH2' })

  await transporter.sendMail(messageTo('you.example'))
  await transporter.verify()

  const [token = ''] = lines.filter((line) => line.startsWith('AUTH XOAUTH2 '))
  expect(Buffer.from(token.slice(13), 'base64').toString()).toContain('Bearer sesame')
})

/** A server that issues OAuth2 tokens. */
async function issuing() {
  const server = createHttpServer((_, response) => {
    response.end(JSON.stringify({ access_token: 'sesame', token_type: 'Bearer' }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('single: emits the OAuth2 token that a later message has renewed', async () => {
  const auth = { ...OAUTH2, accessToken: 'old', refreshToken: 'r', accessUrl: await issuing() }
  const authReplies = ['235 Welcome\r\n', '235 Welcome\r\n', '334 e30=\r\n']
  const { transporter } = await setting({ auth }, { method: 'XOAUTH2', authReplies })
  const tokens: unknown[] = []
  transporter.on('token', ({ accessToken }) => tokens.push(accessToken))

  await transporter.sendMail(messageTo('you.example'))
  await transporter.verify()
  expect(tokens).toEqual([])
  await transporter.sendMail(messageTo('you.example'))

  expect(tokens).toEqual(['sesame'])
})

test.each(KINDS)(
  '[STS-51] [STS-48] $title: a policy that becomes known during a customAuth login hides the password from its handler',
  async ({ kind }) => {
    const customAuth = {
      OWN: async (login: {
        auth: { credentials: { pass: string } }
        sendCommand(line: string): Promise<unknown>
      }) => {
        await login.sendCommand('AUTH OWN')
        await login.sendCommand(`PASS ${login.auth.credentials.pass}`)
      },
    }
    const auth = { ...AUTH, method: 'OWN' }
    const { lines, transporter } = await setting(
      { auth, customAuth, ...kind },
      { at: 'AUTH', method: 'OWN' },
    )

    const error = await errorOf(transporter.sendMail(messageTo('you.example')))

    expect(error).toMatchObject(REFUSED)
    expect(lines).toContain('PASS ')
    expect(lines.join('\n')).not.toContain('secret')
    expect(lines.join('\n')).not.toContain('MAIL')
  },
)

test.each(KINDS)(
  '[STS-51] [STS-48] $title: a policy that becomes known before the reply to EHLO stops a customAuth handler with a password of its own',
  async ({ kind }) => {
    const customAuth = {
      OWN: async (login: { sendCommand(line: string): Promise<unknown> }) => {
        await login.sendCommand('AUTH OWN secret')
      },
    }
    const options = { auth: { ...AUTH, method: 'OWN' }, customAuth, ...kind }
    const first = await setting(options, { at: 'EHLO', method: 'OWN' })
    const second = await setting(options, { at: 'EHLO', method: 'OWN' })

    const error = await errorOf(first.transporter.sendMail(messageTo('you.example')))
    const failure = await errorOf(second.transporter.verify())

    expect([error, failure]).toMatchObject([REFUSED, REFUSED])
    for (const { lines } of [first, second]) {
      expect(lines).toContainEqual(expect.stringMatching(/^EHLO/))
      expect(lines.join('\n')).not.toContain('secret')
    }
  },
)

test.each(
  KINDS.flatMap((one) => [
    { ...one, at: 'MAIL' },
    { ...one, at: 'RCPT' },
  ]),
)(
  '[STS-51] [STS-48] $title: a policy that becomes known before the reply to $at stops the recipients that follow',
  async ({ kind, at }) => {
    const { heard, transporter } = await setting({ auth: AUTH, ...kind }, { at })
    const to = ['one@you.example', 'two@you.example']

    const error = await errorOf(transporter.sendMail({ ...messageTo('you.example'), to }))

    expect(error).toMatchObject(REFUSED)
    expect(heard).toContain('MAIL')
    expect(heard.filter((word) => word === 'RCPT')).toHaveLength(at === 'MAIL' ? 0 : 1)
    expect(heard).not.toContain('DATA')
  },
)

const CHECKS = [
  { method: 'PLAIN', at: 'greeting', heardThen: ['EHLO'] },
  { method: 'PLAIN', at: 'EHLO', heardThen: ['EHLO'] },
  { method: 'LOGIN', at: 'AUTH', heardThen: ['EHLO', 'AUTH'] },
]

test.each(KINDS.flatMap((one) => CHECKS.map((check) => ({ ...one, ...check }))))(
  '[STS-51] [STS-48] $title: verify() sends no login after a policy became known before the reply to $at',
  async ({ kind, method, at, heardThen }) => {
    const { heard, lines, transporter } = await setting({ auth: AUTH, ...kind }, { method, at })

    const error = await errorOf(transporter.verify())

    expect(error).toMatchObject(REFUSED)
    expect(heard.slice(0, heardThen.length)).toEqual(heardThen)
    for (const secret of SECRETS) expect(lines).not.toContain(secret)
    expect(lines.join('\n')).not.toContain('AUTH PLAIN')
  },
)

test.each(KINDS)(
  '[STS-51] $title: verify() follows a policy that became known before the last reply to its login',
  async ({ kind }) => {
    const { heard, transporter } = await setting({ auth: AUTH, ...kind }, { at: 'AUTH' })

    expect(await errorOf(transporter.verify())).toMatchObject(REFUSED)
    expect(heard.filter((word) => word === 'AUTH')).toHaveLength(1)
  },
)

test.each(KINDS)('$title: verify() logs in without a policy', async ({ kind }) => {
  const { heard, transporter } = await setting({ auth: AUTH, ...kind })

  expect(await transporter.verify()).toBe(true)

  expect(heard.slice(0, 2)).toEqual(['EHLO', 'AUTH'])
})

test.each(KINDS)(
  '$title: verify() without a login follows a policy that came late',
  async ({ kind }) => {
    const { transporter } = await setting(kind, { at: 'EHLO' })

    expect(await errorOf(transporter.verify())).toMatchObject(REFUSED)
  },
)

test.each(KINDS)(
  '$title: verify() logs in while an earlier one waits for its host under an older policy',
  async ({ kind }) => {
    const held = deferred()
    const released = deferred()
    const before = () => {
      held.resolve()
      return released.promise
    }
    const { heard, transporter, learn } = await setting(
      { auth: AUTH, ...kind },
      { at: 'EHLO', mode: 'testing', before },
    )
    const first = transporter.verify()
    await held.promise
    await learn()

    expect(await transporter.verify()).toBe(true)
    expect(heard.filter((word) => word === 'AUTH')).toHaveLength(1)

    released.resolve()
    expect(await first).toBe(true)
    expect(heard.filter((word) => word === 'AUTH')).toHaveLength(2)
  },
)
