/** Several recipients, in several domains, with several fates; and recipients that are none. */
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  errorOf,
  expectReachedWithoutLeak,
  failureTexts,
  messageTo,
  only,
  SENDER,
  useWorld,
} from '../e2e/support.js'

const stage = useWorld()

describe('several domains in one message', () => {
  test('each has its own outcome, and the message is sent to those that take it', async () => {
    const good = stage.domain({ mode: 'enforce' })
    const refused = stage.domain({ mode: 'enforce' })
    refused.mx().fails('self-signed')
    const picky = stage.domain()
    picky.mx().fails({ at: 'rcpt', reply: '550 5.1.1 Nobody', to: `nobody@${picky.name}` })
    const nullMx = stage.domain()
    nullMx.dns.fails('null-mx')
    const busy = stage.domain({ mode: 'testing' })
    busy.mx().fails({ at: 'mail', reply: '451 4.7.1 Later' })
    const to = [
      `one@${good.name}`,
      `you@${refused.name}`,
      `somebody@${picky.name}`,
      `nobody@${picky.name}`,
      `you@${nullMx.name}`,
      `two@${good.name.toUpperCase()}`,
      `you@${busy.name}`,
    ]

    const info = await stage.sender().sendMail({ envelope: { from: SENDER, to }, text: 'Hello!' })

    expect(info.accepted.map((address) => address.toLowerCase())).toEqual([
      `one@${good.name}`,
      `two@${good.name}`,
      `somebody@${picky.name}`,
    ])
    expect(info.rejected).toEqual([
      `you@${refused.name}`,
      `nobody@${picky.name}`,
      `you@${nullMx.name}`,
      `you@${busy.name}`,
    ])
    const errors = info.rejectedErrors ?? []
    expect(errors.every((error) => error instanceof Error)).toBe(true)
    expect(errors).toMatchObject([
      { recipient: `you@${refused.name}`, code: 'EMTASTS', permanent: false },
      { recipient: `nobody@${picky.name}`, responseCode: 550, permanent: true },
      { recipient: `you@${nullMx.name}`, code: 'ENULLMX', permanent: true },
      { recipient: `you@${busy.name}`, responseCode: 451, permanent: false },
    ])
    expect(info.deliveries.map(({ policyDomain, status }) => [policyDomain, status])).toEqual([
      [good.name, 'delivered'],
      [refused.name, 'refused'],
      [picky.name, 'delivered'],
      [nullMx.name, 'failed'],
      [busy.name, 'failed'],
    ])
    expect(info.deliveries.map(({ mode }) => mode)).toEqual([
      'enforce',
      'enforce',
      'none',
      'none',
      'testing',
    ])
    expect(failureTexts(info.deliveries[1]?.failures ?? [])).toEqual([
      `${refused.mx().name} certificate-not-trusted self-signed`,
    ])
    expect(info.deliveries[1]?.error).toMatchObject({ code: 'EMTASTS' })
    expect(info.response).toMatch(/^250 /)

    // Two recipients of one domain, and one message
    expect(only(good.inbox).envelope.to).toHaveLength(2)
    expect(only(picky.inbox).envelope.to).toEqual([`somebody@${picky.name}`])
    expectReachedWithoutLeak(refused.mx())
    expect(nullMx.mx().connections).toEqual([])
    expect(busy.inbox).toEqual([])
  })

  test('a refused domain keeps nothing from the others, first in the list or not', async () => {
    const refused = stage.domain({ mode: 'enforce' })
    refused.mx().fails('starttls-502')
    const good = stage.domain({ mode: 'enforce' })

    const info = await stage.sender().sendMail(messageTo(refused, good))

    expect(info.accepted).toEqual([`you@${good.name}`])
    expect(info.rejected).toEqual([`you@${refused.name}`])
    expectReachedWithoutLeak(refused.mx())
    expect(good.inbox).toHaveLength(1)
  })

  test('when none takes it, the error is that of the first, with what became of each', async () => {
    const first = stage.domain({ mode: 'enforce' })
    first.mx().fails('expired')
    const second = stage.domain()
    second.dns.fails('null-mx')

    const error = await errorOf(stage.sender().sendMail(messageTo(first, second)))

    expect(error).toMatchObject({ code: 'EMTASTS', policyDomain: first.name, permanent: false })
    expect(error.rejected).toEqual([`you@${first.name}`, `you@${second.name}`])
    expect(error.rejectedErrors).toMatchObject([
      { recipient: `you@${first.name}`, code: 'EMTASTS', permanent: false },
      { recipient: `you@${second.name}`, code: 'ENULLMX', permanent: true },
    ])
    expect(error.deliveries?.map(({ status }) => status)).toEqual(['refused', 'failed'])
    expect(first.inbox).toEqual([])
  })

  test('every recipient of a domain refused with its own reply: each has it', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails({ at: 'rcpt', reply: '550 5.1.1 Nobody' })
    const to = ['a', 'b'].map((name) => `${name}@${domain.name}`)

    const error = await errorOf(stage.sender().sendMail({ from: SENDER, to, text: 'Hello!' }))

    expect(error).toMatchObject({ permanent: true, responseCode: 550 })
    expect(error.rejectedErrors?.map(({ recipient }) => recipient)).toEqual(to)
    expect(error.rejectedErrors).toMatchObject([{ responseCode: 550 }, { responseCode: 550 }])
  })

  test('the error is permanent only when it is for every recipient', async () => {
    const gone = stage.domain()
    gone.dns.fails('null-mx')
    const refused = stage.domain({ mode: 'enforce' })
    refused.mx().fails('expired')

    const error = await errorOf(stage.sender().sendMail(messageTo(gone, refused)))

    // Who looks at nothing else would bounce what is only refused for now
    expect(error).toMatchObject({ code: 'ENULLMX', policyDomain: gone.name, permanent: false })
    expect(error.deliveries).toMatchObject([
      { error: { permanent: true } },
      { error: { permanent: false } },
    ])
    expect(error.rejectedErrors).toMatchObject([
      { recipient: `you@${gone.name}`, permanent: true },
      { recipient: `you@${refused.name}`, permanent: false },
    ])
  })

  test('domains that share an MX fleet are held each to its own policy', async () => {
    const fleet = `mx.${stage.unusedName()}`
    const enforced = stage.domain({ mode: 'enforce', mx: [fleet] })
    const open = stage.domain({ mx: [fleet] })
    stage.world.mx(fleet).fails('expired')

    const info = await stage.sender({ maxMessages: 100 }).sendMail(messageTo(open, enforced))

    expect(info.accepted).toEqual([`you@${open.name}`])
    expect(info.rejected).toEqual([`you@${enforced.name}`])
    const senders = stage.world.mx(fleet).inbox.map(({ envelope }) => envelope.to)
    expect(senders).toEqual([[`you@${open.name}`]])
  })

  test('more domains than are delivered to at a time, and no warning of a leak', async () => {
    const warnings: string[] = []
    const listener = ({ name }: Error) => void warnings.push(name)
    process.on('warning', listener)
    onTestFinished(() => void process.off('warning', listener))
    const domains = Array.from({ length: 30 }, (_, index) =>
      stage.domain({ mode: index % 2 ? 'enforce' : 'testing' }),
    )
    const bad = domains.filter((_, index) => index % 5 === 1)
    for (const domain of bad) domain.mx().fails('self-signed')

    const info = await stage.sender().sendMail(messageTo(...domains))

    const expected = domains.map((domain, index) => {
      const refused = bad.includes(domain) && index % 2 === 1
      return [domain.name, refused ? 'refused' : 'delivered']
    })
    expect(info.deliveries.map(({ policyDomain, status }) => [policyDomain, status])).toEqual(
      expected,
    )
    expect(warnings).toEqual([])
    for (const [index, domain] of domains.entries()) {
      expect(domain.inbox).toHaveLength(expected[index]?.[1] === 'delivered' ? 1 : 0)
    }
  })
})

describe('recipients that are none', () => {
  // Nodemailer 8 leaves out what has no @, before a transport sees it
  const WITHOUT_AT: Array<[string, object, RegExp]> =
    process.env.NODEMAILER === '8'
      ? []
      : [
          ['one without a domain', { envelope: { from: SENDER, to: ['bob'] } }, /"bob".*domain/],
          [
            'a good one beside a bad one',
            { envelope: { from: SENDER, to: ['you@good.example', 'bob'] } },
            /"bob"/,
          ],
        ]
  const NONE: Array<[string, object, RegExp]> = [
    ...WITHOUT_AT,
    ['no recipients', {}, /recipient/],
    ['an empty list', { to: [] }, /recipient/],
    ['an envelope without any', { envelope: { from: SENDER, to: [] } }, /recipient/],
    ['one with an empty domain', { envelope: { from: SENDER, to: ['bob@'] } }, /"bob@".*domain/],
    [
      'one whose domain is none',
      { envelope: { from: SENDER, to: { name: '', address: 'a@not a domain' } } },
      /"a@not a domain"/,
    ],
    ['an empty label', { to: 'a@bob..example' }, /"a@bob\.\.example"/],
    ['a label that begins with a hyphen', { to: 'a@-bob.example' }, /"a@-bob\.example"/],
    ['an address that is no literal', { to: 'a@192.0.2.1' }, /"a@192\.0\.2\.1"/],
    ['a literal that is none', { to: 'a@[192.0.2]' }, /"a@\[192\.0\.2\]"/],
  ]

  test.each(NONE)(
    '%s: a clear error, before anything is looked up or connected to',
    async (_, to, what) => {
      stage.world.forget()

      const error = await errorOf(stage.sender().sendMail({ from: SENDER, text: 'Hello!', ...to }))

      expect(error).toMatchObject({
        code: 'EENVELOPE',
        permanent: true,
        message: expect.stringMatching(what),
      })
      expect(stage.world.dials).toEqual([])
      expect(stage.world.queries).toEqual([])
    },
  )

  test('the text of a recipient is escaped in the message', async () => {
    const address = `bob\u001b[31m\u202e${'x'.repeat(1000)}`

    const error = await errorOf(
      stage
        .sender()
        .sendMail({ envelope: { from: SENDER, to: [{ name: '', address }] }, text: '' }),
    )

    expect(error.code).toBe('EENVELOPE')
    expect(error.message).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    expect(error.message.length).toBeLessThan(400)
  })

  test('what a host replies is no way into the envelope of the next', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const to = [{ name: '', address: `a\r\nRCPT TO:<evil@${domain.name}>\r\n@${domain.name}` }]

    await stage
      .sender()
      .sendMail({ envelope: { from: SENDER, to }, text: 'Hello!' })
      .catch(() => undefined)

    const recipients = domain.inbox.flatMap(({ envelope }) => envelope.to)
    expect(recipients.filter((recipient) => recipient.startsWith('evil@'))).toEqual([])
  })
})
