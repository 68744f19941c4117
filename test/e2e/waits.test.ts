/** A policy found while a message waits: the plan is replaced before MAIL FROM. */
import type { Socket } from 'node:net'
import nodemailer from 'nodemailer'
import { describe, expect, test } from 'vitest'
import type { ConnectTarget } from '../../src/index.js'
import { type MtaStsTransportOptions, mtaStsTransport } from '../../src/nodemailer/index.js'
import type { MailDomain } from '../../src/testing/index.js'
import {
  deliver,
  errorOf,
  expectNoLeak,
  failureTexts,
  messageTo,
  only,
  useWorld,
} from './support.js'

const stage = useWorld()

/** A promise, and the function that settles it. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

/** Connections to these hosts are opened with the gate; `asked` resolves at the first one. */
function heldConnect(hosts: () => readonly string[]) {
  const held = gate()
  const asked = gate()
  const { connect } = stage.world.options()
  return {
    asked: asked.opened,
    letThrough: held.open,
    async connect(target: ConnectTarget): Promise<Socket> {
      if (hosts().includes(target.host)) {
        asked.open()
        await held.opened
      }
      return connect(target)
    },
  }
}

/** A sender whose core is shared with the test, which makes it find a policy. */
function shared(options: MtaStsTransportOptions = {}) {
  const { connect, ...rest } = options
  const sts = stage.sts({ negativeTtl: 0, ...(connect ? { connect } : {}) })
  const transport = mtaStsTransport({ sts, name: 'sender.example', ...rest })
  const sender = nodemailer.createTransport(transport)
  return { sts, sender }
}

/** The domain publishes a policy that its MX host does not meet, and the core fetches it. */
async function learnEnforce(domain: MailDomain, sts: ReturnType<typeof shared>['sts']) {
  domain.policy({ mode: 'enforce' })
  expect(await sts.lookAgain(domain.name)).toMatchObject({ policy: { mode: 'enforce' } })
}

describe('a policy found while a message waits', () => {
  test('[STS-51] [STS-42] for the connection: refuses the untrusted host', async () => {
    const domain = stage.domain()
    domain.mx().fails('self-signed')
    const held = heldConnect(() => [domain.mx().name])
    const { sts, sender } = shared({ connect: held.connect })

    const sending = errorOf(sender.sendMail(messageTo(domain)))
    await held.asked
    await learnEnforce(domain, sts)
    held.letThrough()

    expect(await sending).toMatchObject({ code: 'EMTASTS', permanent: false })
    expectNoLeak(domain.mx())
  })

  test('[STS-51] [STS-42] for a pooled connection: refuses the untrusted host', async () => {
    const busy = stage.domain()
    const domain = stage.domain()
    domain.mx().fails('self-signed')
    const held = heldConnect(() => [busy.mx().name])
    const { sts, sender } = shared({ connect: held.connect, maxConnections: 1 })

    const first = sender.sendMail(messageTo(busy))
    await held.asked
    const waiting = errorOf(sender.sendMail(messageTo(domain)))
    // It has a plan without a policy, and waits behind the first
    await expect
      .poll(() => stage.world.queries.some(({ name }) => name === domain.mx().name))
      .toBe(true)
    await learnEnforce(domain, sts)
    held.letThrough()
    await first

    expect(await waiting).toMatchObject({ code: 'EMTASTS', permanent: false })
    expectNoLeak(domain.mx())
  })

  test('[STS-51] [STS-42] behind a slow first MX host: does not use the second one without proof', async () => {
    const domain = stage.domain({ mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails('unreachable')
    domain.mx('mx2').fails('self-signed')
    const held = heldConnect(() => [domain.mx('mx1').name])
    const { sts, sender } = shared({ connect: held.connect })

    const sending = errorOf(sender.sendMail(messageTo(domain)))
    await held.asked
    await learnEnforce(domain, sts)
    held.letThrough()

    expect(await sending).toMatchObject({ code: 'EMTASTS' })
    expectNoLeak(domain.mx('mx2'))
  })

  test('[STS-51] with trusted hosts: delivers under the new policy', async () => {
    const domain = stage.domain()
    const held = heldConnect(() => [domain.mx().name])
    const { sts, sender } = shared({ connect: held.connect })

    const sending = sender.sendMail(messageTo(domain))
    await held.asked
    await learnEnforce(domain, sts)
    held.letThrough()

    expect(only((await sending).deliveries)).toMatchObject({ mode: 'enforce', proved: 'sts' })
  })

  test("[STS-51] between context.open() and the caller's own message: assertCurrent() throws", async () => {
    const domain = stage.domain()
    domain.mx().fails('self-signed')
    const sts = stage.sts({ negativeTtl: 0 })
    let attempts = 0

    const error = await errorOf(
      sts.deliver(domain.name, async (_, context) => {
        const connection = await context.open()
        attempts++
        await learnEnforce(domain, sts)
        context.assertCurrent()
        return connection.send({ from: 'me@sender.example', to: [`you@${domain.name}`] }, 'Hello')
      }),
    )

    expect(error).toMatchObject({ code: 'EMTASTS' })
    expect(attempts).toBe(1)
    expectNoLeak(domain.mx())
  })

  test('[STS-51] on a reused connection without proof: uses a new one, and refuses it', async () => {
    const domain = stage.domain()
    domain.mx().fails('self-signed')
    const { sts, sender } = shared({ maxMessages: 100 })
    expect(await deliver(sender, domain)).toMatchObject({ proved: 'nothing' })

    await learnEnforce(domain, sts)

    expect(await errorOf(sender.sendMail(messageTo(domain)))).toMatchObject({ code: 'EMTASTS' })
    expect(domain.inbox).toHaveLength(1)
  })

  test('[STS-51] of mode testing: delivers, and records what it would have refused', async () => {
    const domain = stage.domain()
    domain.mx().fails('self-signed')
    const held = heldConnect(() => [domain.mx().name])
    const { sts, sender } = shared({ connect: held.connect })

    const sending = sender.sendMail(messageTo(domain))
    await held.asked
    domain.policy({ mode: 'testing' })
    await sts.lookAgain(domain.name)
    held.letThrough()

    const { mode, failures } = only((await sending).deliveries)
    expect(mode).toBe('testing')
    expect(failureTexts(failures)).toEqual([
      `${domain.mx().name} certificate-not-trusted self-signed`,
    ])
  })
})
