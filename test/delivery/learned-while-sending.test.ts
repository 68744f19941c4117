/** A policy that is learned while a host answers the commands of a message. */
import nodemailer from 'nodemailer'
import { expect, onTestFinished, test } from 'vitest'
import { MtaSts, type PolicyStore } from '../../src/index.js'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import { type Peer, type Script, ScriptedMx, untilSecured } from '../e2e/scripted-mx.js'
import { errorOf } from '../e2e/support.js'

const DOMAIN = 'bob.example'
const ENVELOPE = { from: 'me@sender.example', to: [`b@${DOMAIN}`, `c@${DOMAIN}`] }
const TEXT = 'Subject: Hi\r\n\r\nsecret\r\n'
const BODY = 'version: STSv1\nmode: enforce\nmx: other.example\nmax_age: 86400\n'

interface Setting {
  mx: ScriptedMx
  sts: MtaSts
  /** From now on an enforce policy that does not name the host is known */
  learn(): Promise<void>
}

/** A host that is no MX host of the policy, which nobody knows before `learn()`. */
async function setting(script: Script): Promise<Setting> {
  const mx = await ScriptedMx.open(script, 'mx.scripted.example')
  const { name: _, ...options } = mx.options()
  let known = false
  const now = Date.now()
  const entry = { id: '1', body: BODY, fetchedAt: now, expiresAt: now + 86_400_000, usedAt: now }
  const store: PolicyStore = {
    get: async () => (known ? entry : undefined),
    set: async () => {},
    delete: async () => {},
  }
  const resolver = { ...options.resolver, resolveTxt: async () => [] }
  const sts = new MtaSts({ ...options, negativeTtl: 0, resolver, store })
  onTestFinished(async () => {
    await sts.close()
    await mx[Symbol.asyncDispose]()
  })
  return {
    mx,
    sts,
    learn: async () => {
      known = true
      expect(await sts.getPolicy(DOMAIN)).toMatchObject({ policy: { mode: 'enforce' } })
    },
  }
}

/** Answers commands one by one; calls `before` ahead of each reply to those that begin so. */
function answering(word: string, before: () => Promise<void>): Script {
  return async (peer: Peer) => {
    await untilSecured(peer)
    for (;;) {
      const line = await peer.hear()
      if (line === undefined) return
      if (line.startsWith(word)) await before()
      if (line.startsWith('RCPT') && line.includes('nobody')) peer.say('550 5.1.1 No such user')
      else if (line === 'DATA') {
        peer.say('354 Go ahead')
        while ((await peer.hear()) !== '.') if (peer.closed) return
        peer.say('250 Taken')
      } else peer.say('250 Fine')
    }
  }
}

/** The words of the commands after the last EHLO of the first connection. */
function commands({ peers: [peer] }: ScriptedMx): string[] {
  const { heard = [] } = peer ?? {}
  const last = heard.findLastIndex((line) => line.startsWith('EHLO'))
  return heard.slice(last + 1).map((line) => line.slice(0, 4))
}

const WAITS = [
  ['MAIL', ['MAIL']],
  ['RCPT', ['MAIL', 'RCPT']],
  ['DATA', ['MAIL', 'RCPT', 'RCPT', 'DATA']],
] as const

test.each(WAITS)(
  '[STS-51] [STS-42] during the reply to %s: mtaStsTransport sends no further command to that host',
  async (word, sent) => {
    let learn = async () => {}
    const { mx, sts, ...rest } = await setting(answering(word, () => learn()))
    learn = rest.learn
    const transport = mtaStsTransport({ sts, name: 'sender.example' })
    const sender = nodemailer.createTransport(transport)
    onTestFinished(() => sender.close())

    const error = await errorOf(sender.sendMail({ envelope: ENVELOPE, raw: TEXT }))

    expect(error).toMatchObject({ code: 'EMTASTS', permanent: false })
    expect(commands(mx)).toEqual(sent)
  },
)

test.each(WAITS)(
  '[STS-51] [STS-42] during the reply to %s: SmtpConnection.send sends no further command',
  async (word, sent) => {
    let learn = async () => {}
    const { mx, sts, ...rest } = await setting(answering(word, () => learn()))
    learn = rest.learn

    const delivered = sts.deliver(DOMAIN, async (_, context) => {
      const connection = await context.open({ name: 'mail.sender.example' })
      return connection.send(ENVELOPE, TEXT).finally(() => connection.quit())
    })

    expect(await errorOf(delivered)).toMatchObject({ code: 'EMTASTS', permanent: false })
    expect(commands(mx)).toEqual(sent)
  },
)

test('[STS-51] during the reply to RSET: a connection that is used again sends no MAIL', async () => {
  let learn = async () => {}
  const { mx, sts, ...rest } = await setting(answering('RSET', () => learn()))
  learn = rest.learn
  const connection = await sts.open(DOMAIN, { name: 'mail.sender.example' })
  const nobody = { from: 'me@sender.example', to: [`nobody@${DOMAIN}`] }
  await errorOf(connection.send(nobody, TEXT))

  const delivered = sts.deliver(DOMAIN, async (_, context) => {
    context.use(connection)
    return connection.send(ENVELOPE, TEXT)
  })

  expect(await errorOf(delivered)).toMatchObject({ code: 'EMTASTS', permanent: false })
  expect(commands(mx)).toEqual(['MAIL', 'RCPT', 'RSET'])
  expect(connection.closed).toBe(true)
})

test('[STS-51] a connection of MtaSts.open sends no message once its domain has another policy', async () => {
  const { mx, sts, learn } = await setting(answering('never', async () => {}))
  const connection = await sts.open(DOMAIN, { name: 'mail.sender.example' })
  await learn()

  expect(await errorOf(connection.send(ENVELOPE, TEXT))).toMatchObject({ code: 'EPOLICYCHANGED' })
  expect(commands(mx)).toEqual([])
})
