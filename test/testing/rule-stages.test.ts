/**
 * Every stage of a session with everything a rule can do there: what a client that reads line by
 * line meets, and what becomes of a message that the transport sends.
 */
import { once } from 'node:events'
import { connect as tlsConnect } from 'node:tls'
import type { Transporter } from 'nodemailer'
import nodemailer from 'nodemailer'
import { describe, expect, it } from 'vitest'
import { withMtaSts } from '../../src/nodemailer/index.js'
import {
  type FaultHandle,
  type MailDomain,
  type MxHost,
  type Rule,
  STAGES,
  type Stage,
} from '../../src/testing/index.js'
import { EVENTUALLY, errorOf, messageTo, useWorld } from '../e2e/support.js'
import { codeOf, dial, RawClient } from './support.js'

const stage = useWorld()

const LATER = '451 4.3.0 Later'
const NEVER = '550 5.7.1 Not here'
const LOGIN = { user: 'me', pass: 'secret' }
/** How long the transport waits for a host that says nothing; longer than a session takes. */
const PATIENCE = 1500
const IMPATIENT = {
  connectionTimeout: PATIENCE,
  greetingTimeout: PATIENCE,
  socketTimeout: PATIENCE,
}

type Outcome = 'delivered' | 'deferred' | 'refused' | 'bounced'

/** What a rule is, what a client meets, and what becomes of a message. */
interface Row {
  rule: Omit<Rule, 'at'>
  client: string
  message: Outcome
}

const ended: Row = { rule: { act: 'drop' }, client: 'end', message: 'deferred' }
const reset: Row = { rule: { act: 'reset' }, client: 'ECONNRESET', message: 'deferred' }
const stalled: Row = { rule: { act: 'stall' }, client: 'silence', message: 'deferred' }
const acts = (message: Outcome): Row[] =>
  [ended, reset, stalled].map((row) => ({ ...row, message }))
const later = (message: Outcome): Row => ({ rule: { reply: LATER }, client: LATER, message })
const never = (message: Outcome): Row => ({ rule: { reply: NEVER }, client: NEVER, message })
const replies = (message: Outcome): Row[] => [later(message), never(message)]

/** Before the receiver has proved itself, nothing is final; with QUIT, all is done. */
const ROWS: Readonly<Record<Exclude<Stage, 'auth'>, readonly Row[]>> = {
  connect: [
    { rule: { act: 'refuse' }, client: 'ECONNREFUSED', message: 'deferred' },
    { rule: { act: 'drop' }, client: 'ECONNREFUSED', message: 'deferred' },
    reset,
    stalled,
  ],
  greeting: [...replies('deferred'), ...acts('deferred')],
  ehlo: [later('deferred'), never('refused'), ...acts('deferred')],
  starttls: [...replies('refused'), ...acts('refused')],
  mail: [later('deferred'), never('bounced'), ...acts('deferred')],
  rcpt: [later('deferred'), never('bounced'), ...acts('deferred')],
  data: [later('deferred'), never('bounced'), ...acts('deferred')],
  message: [later('deferred'), never('bounced'), ...acts('deferred')],
  quit: [...replies('delivered'), ...acts('delivered')],
}

const CASES = Object.entries(ROWS).flatMap(([at, rows]) =>
  rows.map((row) => [at as Stage, row.rule.reply ?? row.rule.act ?? '', row] as const),
)

it('has rows for every stage; auth has its own below', () => {
  expect([...Object.keys(ROWS), 'auth'].sort()).toEqual([...STAGES].sort())
})

describe('a rule, met by a client of its own', () => {
  it.each(CASES)('at %s: %s', async (at, _, { rule, client }) => {
    const domain = stage.domain({ mode: 'enforce' })
    const handle = domain.mx().rule({ at, ...rule })
    if (client === 'silence') await silenced(domain.mx(), domain, handle)
    else expect(await meets(domain.mx(), domain, at)).toBe(client)
    expect(handle.met).toBe(1)
    handle.stop()
    expect(await meets(domain.mx(), domain, at)).toMatch(/^(?:220|221|250|354) ?/)
  })
})

describe('a rule, met by the transport', () => {
  it.concurrent.for(CASES)('at %s: %s', async ([at, , { rule, message }], { expect }) => {
    const domain = stage.domain({ mode: 'enforce' })
    const handle = domain.mx().rule({ at, ...rule })
    const sender = stage.sender(IMPATIENT)
    expect(await outcomeOf(sender, domain)).toBe(message)
    await expect.poll(() => handle.met, EVENTUALLY).toBeGreaterThan(0)
    expect(domain.inbox).toHaveLength(message === 'delivered' ? 1 : 0)
  })
})

describe('a rule at auth, met by a client of its own and by the transport around a smart host', () => {
  const rows: Row[] = [...replies('deferred'), ...acts('deferred')]

  it.each(rows.map((row) => [row.rule.reply ?? row.rule.act ?? '', row] as const))(
    '%s',
    async (_, { rule, client }) => {
      const name = stage.unusedName()
      const host = stage.world.smartHost(name, { auth: LOGIN, port: 465 })
      const domain = stage.world.domain(name, { mode: 'enforce', mx: [] })
      const handle = host.rule({ at: 'auth', user: LOGIN.user, ...rule })
      if (client === 'silence') await silenced(host, domain, handle)
      else expect(await meets(host, domain, 'auth')).toBe(client)
      const { ca } = stage.world
      const server = { host: name, port: 465, secure: true, auth: LOGIN, tls: { ca } }
      const sender = nodemailer.createTransport(
        withMtaSts({ ...server, socketTimeout: PATIENCE }, stage.world.options()),
      )
      expect(await outcomeOf(sender, domain)).toBe('deferred')
      expect(handle.met).toBe(2)
      handle.stop()
      expect(await outcomeOf(sender, domain)).toBe('delivered')
      sender.close()
    },
  )
})

describe('after a reply', () => {
  const SPOKEN = STAGES.filter((at) => at !== 'connect')
  const THEN = ['drop', 'reset', 'stall'] as const

  it.each(SPOKEN.flatMap((at) => THEN.map((then) => [at, then] as const)))(
    'at %s, then %s: a client of its own has the reply first',
    async (at, then) => {
      const name = stage.unusedName()
      const host =
        at === 'auth'
          ? stage.world.smartHost(name, { auth: LOGIN, port: 465 })
          : stage.world.mx(name)
      const domain = stage.world.domain(name, { mx: [] })
      host.rule({ at, reply: LATER, then })
      const client = await opened(host, at)
      if (typeof client === 'string') throw new Error(client)
      let seen = await next(client)
      for (const [, line] of session(domain, at)) {
        if (seen.startsWith('4')) break
        client.socket.write(`${line}\r\n`)
        seen = await next(client)
      }
      expect(seen).toBe(LATER)
      if (then === 'stall') await expectSilence(client)
      else expect(await next(client)).toBe(then === 'drop' ? 'end' : 'ECONNRESET')
    },
  )

  it.each(THEN)('then %s: the transport defers the message', async (then) => {
    const domain = stage.domain({ mode: 'enforce' })
    const rule = domain.mx().rule({ at: 'message', reply: LATER, then })
    const sender = stage.sender(IMPATIENT)
    expect(await errorOf(sender.sendMail(messageTo(domain)))).toMatchObject({
      responseCode: 451,
      permanent: false,
    })
    rule.stop()
    expect(await outcomeOf(sender, domain)).toBe('delivered')
  })

  it('then another rule: 451 twice, 452 once, 550 for good', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const last = { reply: '550 5.1.1 Gone' }
    // biome-ignore lint/suspicious/noThenProperty: it is a word, and nothing is awaited
    const middle = { reply: '452 4.2.2 Full', then: last }
    // biome-ignore lint/suspicious/noThenProperty: it is a word, and nothing is awaited
    const rule = domain.mx().rule({ at: 'rcpt', reply: LATER, times: 2, then: middle })
    const codes: unknown[] = []
    for (let n = 0; n < 5; n++) {
      codes.push(await errorOf(stage.sender().sendMail(messageTo(domain))).then(codeAndEnd))
    }
    const gone = [550, true]
    expect(codes).toEqual([[451, false], [451, false], [452, false], gone, gone])
    expect(rule).toMatchObject({ met: 5, over: false })
    rule.stop()
    expect(rule.over).toBe(true)
    await stage.sender().sendMail(messageTo(domain))
  })

  it('then another rule, set as a fault, met by a client of its own; works() ends all of it', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const ask = () => meets(domain.mx(), domain, 'mail')
    // biome-ignore lint/suspicious/noThenProperty: it is a word, and nothing is awaited
    const fault = { at: 'mail', reply: LATER, then: { at: 'ehlo', act: 'drop', times: 1 } } as const
    domain.mx().fails(fault)
    expect([await ask(), await ask(), await ask()]).toEqual([
      LATER,
      'end',
      expect.stringMatching(/^250/),
    ])
    const again = domain.mx().fails(fault)
    expect(await ask()).toBe(LATER)
    domain.mx().works()
    expect(await ask()).toMatch(/^250/)
    expect(again.over).toBe(true)
  })

  it('a rule that was never reached is unmet', () => {
    const domain = stage.domain({ mode: 'enforce' })
    // biome-ignore lint/suspicious/noThenProperty: it is a word, and nothing is awaited
    const rule = domain.mx().rule({ at: 'rcpt', reply: LATER, then: { reply: NEVER } })
    expect(() => stage.world.verify()).toThrow(/at rcpt: 451 4\.3\.0 Later\n.*at rcpt: 550 5\.7\.1/)
    rule.stop()
  })
})

function codeAndEnd({ responseCode, permanent }: { responseCode?: number; permanent?: boolean }) {
  return [responseCode, permanent]
}

/** What comes of a session at a stage: the reply, or how the connection ends. */
async function meets(host: MxHost, domain: MailDomain, at: Stage): Promise<string> {
  const client = await opened(host, at)
  if (typeof client === 'string') return client
  let seen = await next(client)
  for (const [now, line] of session(domain, at)) {
    if (at === 'greeting' || !/^[23]/.test(seen)) break
    client.socket.write(`${line}\r\n`)
    seen = await next(client)
    if (now === at) break
  }
  client.socket.destroy()
  return seen
}

/** Checks that a host says nothing at the stage of a rule, and leaves the connection open. */
async function silenced(host: MxHost, domain: MailDomain, handle: FaultHandle): Promise<void> {
  const at = /^at (\w+)/.exec(handle.title)?.[1] as Stage
  const client = await opened(host, at)
  if (typeof client === 'string') throw new Error(client)
  let said = 'nothing'
  const listen = async (): Promise<void> => {
    for (const [, line] of [['greeting', ''], ...session(domain, at)]) {
      if (line !== '') client.socket.write(`${line}\r\n`)
      said = 'nothing'
      said = await next(client)
    }
  }
  listen().catch(() => undefined)
  await expect.poll(() => handle.met, EVENTUALLY).toBe(1)
  // A reply on its way would have come: one that is late makes no good host a bad one
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect([said, client.socket.closed]).toEqual(['nothing', false])
  client.socket.destroy()
}

/** Checks that a host replies nothing any more, and leaves the connection open. */
async function expectSilence(client: RawClient): Promise<void> {
  let said = ''
  client.socket.on('data', (chunk) => {
    said += chunk
  })
  client.socket.write('NOOP\r\nQUIT\r\n')
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect([said, client.socket.closed, client.socket.readableEnded]).toEqual(['', false, false])
  client.socket.destroy()
}

async function opened(host: MxHost, at: Stage): Promise<RawClient | string> {
  const socket = at === 'auth' ? dial(stage.world, host, 465) : dial(stage.world, host, 25)
  const failed = await codeOf(once(socket, 'connect'))
  if (failed !== undefined) return failed
  if (at !== 'auth') return new RawClient(socket)
  return new RawClient(tlsConnect({ socket, servername: host.name, ca: stage.world.ca }))
}

function session(domain: MailDomain, at: Stage): Array<readonly [Stage, string]> {
  const plain = Buffer.from(`\0${LOGIN.user}\0${LOGIN.pass}`).toString('base64')
  return [
    ['ehlo', 'EHLO sender.example'],
    ...(at === 'starttls' ? ([['starttls', 'STARTTLS']] as const) : []),
    ...(at === 'auth' ? ([['auth', `AUTH PLAIN ${plain}`]] as const) : []),
    ['mail', 'MAIL FROM:<a@sender.example>'],
    ['rcpt', `RCPT TO:<b@${domain.name}>`],
    ['data', 'DATA'],
    ['message', 'Subject: x\r\n\r\n.'],
    ['quit', 'QUIT'],
  ]
}

/** The last line of the next reply, or how the connection ends. */
async function next(client: RawClient): Promise<string> {
  const reply = await client.reply().catch((error: NodeJS.ErrnoException) => String(error.code))
  if (reply !== '') return reply.split('\n').at(-1) ?? ''
  const { socket } = client
  if (!socket.closed) await once(socket, 'close').catch(() => undefined)
  return socket.errored === null ? 'end' : String(Reflect.get(socket.errored, 'code'))
}

async function outcomeOf(sender: Transporter, domain: MailDomain): Promise<Outcome> {
  const error = await sender.sendMail(messageTo(domain)).then(
    () => undefined,
    (thrown: Error & { code?: string; permanent?: boolean }) => thrown,
  )
  if (error === undefined) return 'delivered'
  if (error.code === 'EMTASTS') return 'refused'
  return error.permanent === true ? 'bounced' : 'deferred'
}
