/** Messages that can be read or composed only once, and those that are not in memory. */
import { PassThrough, Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { MailDomain } from '../../src/testing/index.js'
import { deliver, errorOf, expectNoLeak, messageTo, only, useWorld } from '../e2e/support.js'

const stage = useWorld()

interface Closing {
  close(options: { force: boolean }): void
}

describe('a message with a Content-Type field of its own, which Nodemailer composes only once', () => {
  const TEXT = 'the attachment, whole\n'.repeat(5000)
  const mail = {
    html: '<p>One</p>',
    headers: { 'Content-Type': 'text/plain; format=flowed' },
    attachments: [{ filename: 'a.txt', content: TEXT }],
  }
  const encoded = Buffer.from(TEXT).toString('base64').replace(/=+$/, '')

  function expectWhole(domain: MailDomain): void {
    expect(only(domain.inbox).raw.replace(/\s/g, '')).toContain(encoded)
  }

  test('arrives with its body when it is larger than what is composed beforehand', async () => {
    const domain = stage.domain()
    await deliver(stage.sender(), domain, mail)
    expectWhole(domain)
  })

  test('arrives with its body at the second MX host', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails({ at: 'message', reply: '451 4.7.1 Later' })
    await deliver(stage.sender(), domain, mail)
    expectWhole(domain)
  })

  test('fails if a file is missing, and is not sent without it', async () => {
    const domain = stage.domain()
    const attachments = [{ path: '/does/not/exist' }]
    const sending = stage.sender().sendMail({ ...messageTo(domain), ...mail, attachments })
    const error = await errorOf(sending)
    expect(error.code).toBe('ESTREAM')
    expect(domain.inbox).toEqual([])
  })
})

describe('a message with a stream', () => {
  const TEXT = 'the attachment, whole\n'.repeat(5000)
  const attached = () => ({
    filename: 'a.txt',
    content: Readable.from([TEXT.slice(0, 9), TEXT.slice(9)]),
  })
  const encoded = (text: string) => Buffer.from(text).toString('base64').slice(0, 60)

  function expectWhole(raw: string): void {
    const base64 = raw.slice(raw.indexOf('filename=a.txt')).replace(/\s/g, '')
    expect(base64).toContain(Buffer.from(TEXT).toString('base64').replace(/=+$/, ''))
  }

  test.each(['expired', 'starttls-454', 'unreachable'] as const)(
    'the first MX host fails (%s) before MAIL FROM: the second gets all of it',
    async (fault) => {
      const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
      domain.mx('mx1').fails(fault)

      const delivery = await deliver(stage.sender(), domain, { attachments: [attached()] })

      expect(delivery.mxHost).toBe(domain.mx('mx2').name)
      expectWhole(only(domain.inbox).raw)
    },
  )

  test.each(['mail', 'rcpt', 'data'] as const)(
    'the first MX host replies 451 to %s: the second gets all of it',
    async (at) => {
      const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
      domain.mx('mx1').fails({ at, reply: '451 4.7.1 Later' })

      const delivery = await deliver(stage.sender(), domain, { attachments: [attached()] })

      expect(delivery.mxHost).toBe(domain.mx('mx2').name)
      expectWhole(only(domain.inbox).raw)
    },
  )

  test('the first MX host fails when it has it all: an error, and never a part of it', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails({ at: 'message', reply: '451 4.7.1 Later' })

    const error = await errorOf(
      stage.sender().sendMail({ ...messageTo(domain), attachments: [attached()] }),
    )

    expect(error.code).toBe('ESTREAM')
    expect(error.permanent ?? false).toBe(false)
    expect(domain.inbox).toEqual([])
    // Not even offered to the second: there is nothing left to send
    expectNoLeak(domain.mx('mx2'))
  })

  test('the same without a stream: the second MX host takes it', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails({ at: 'message', reply: '451 4.7.1 Later' })
    const attachments = [{ filename: 'a.txt', content: TEXT }]

    await deliver(stage.sender(), domain, { attachments })

    expectWhole(only(domain.inbox).raw)
    expect(only(domain.inbox).mx).toBe(domain.mx('mx2').name)
  })

  test('to several domains: each of them gets all of it', async () => {
    const domains = [stage.domain({ mode: 'enforce' }), stage.domain(), stage.domain()]

    await stage.sender().sendMail({ ...messageTo(...domains), attachments: [attached()] })

    for (const domain of domains) {
      expect(only(domain.inbox).raw).toContain(encoded(TEXT))
      expectWhole(only(domain.inbox).raw)
    }
  })

  test.each([
    ['a signal', (_: Closing, abort: () => void) => abort(), /^EABORT$/],
    [
      'close by force',
      (sender: Closing) => sender.close({ force: true }),
      /^ECONNECTION$|^ECLOSED$/,
    ],
  ])('%s ends a message to two domains whose stream stalls', async (_, end, code) => {
    const domains = [stage.domain({ mode: 'enforce' }), stage.domain()]
    const controller = new AbortController()
    const content = new Readable({ read() {} })
    content.push('half of it')
    const sender = stage.sender({})
    const sending = errorOf(
      sender.sendMail({
        ...messageTo(...domains),
        attachments: [{ filename: 'a', content }],
        signal: controller.signal,
      }),
    )
    while (!content.readableDidRead) await turn()
    end(sender.transporter as unknown as Closing, () => controller.abort())
    expect((await sending).code).toMatch(code)
  })

  test.each([
    ['one domain', 1],
    ['two domains', 2],
  ])(
    'a stream that fails in a message to %s is an error, and nothing arrives',
    async (_, count) => {
      const domains = Array.from({ length: count }, () => stage.domain({ mode: 'enforce' }))
      const content = new Readable({
        read() {
          this.destroy(new Error('the disk is on fire'))
        },
      })

      const error = await errorOf(
        stage
          .sender()
          .sendMail({ ...messageTo(...domains), attachments: [{ filename: 'a', content }] }),
      )

      expect(error.message).toContain('the disk is on fire')
      expect(error).toMatchObject({ code: 'ESTREAM', permanent: false })
      expect(domains.flatMap(({ inbox }) => [...inbox])).toEqual([])
    },
  )

  test.each([
    ['one domain', 1],
    ['two domains', 2],
  ])('a plugin that turns the message to %s into strings: it is sent whole', async (_, count) => {
    const domains = Array.from({ length: count }, () => stage.domain({ mode: 'enforce' }))
    const sender = stage.sender({})
    sender.use('stream', (mail, done) => {
      mail.message.processFunc((input) => input.pipe(new PassThrough({ encoding: 'utf8' })))
      done()
    })

    await sender.sendMail(messageTo(...domains))

    for (const { inbox } of domains) expect(only(inbox).subject).toBe(messageTo().subject)
  })

  test('a plugin that turns the message into objects: an error, and nothing arrives', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({})
    sender.use('stream', (mail, done) => {
      mail.message.processFunc(() => Readable.from(['Subject: half of it\r\n', { no: 'text' }]))
      done()
    })

    expect(await errorOf(sender.sendMail(messageTo(domain)))).toBeInstanceOf(Error)
    expect(domain.inbox).toEqual([])
  })

  test('a plugin that closes the message before its end: an error, and nothing arrives', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({})
    sender.use('stream', (mail, done) => {
      mail.message.processFunc(() => {
        const half = new PassThrough()
        half.write('Subject: half of it\r\n', () => half.destroy())
        return half
      })
      done()
    })

    const error = await errorOf(sender.sendMail(messageTo(domain)))

    expect(error).toMatchObject({
      code: 'ESTREAM',
      message: expect.stringContaining('before its end'),
    })
    expect(domain.inbox).toEqual([])
  })
})

describe('a message that is not in memory', () => {
  const isDeclared = async (mail: object): Promise<boolean> => {
    const domain = stage.domain()
    const texts: unknown[] = []
    const debug = (_: unknown, __: string, text: unknown) => void texts.push(text)
    const logger = { level() {}, trace() {}, debug, info() {}, warn() {}, error() {}, fatal() {} }
    const sender = stage.sender({ logger, transactionLog: true })
    await sender.sendMail({ ...messageTo(domain), ...mail } as object)
    return / BODY=8BITMIME\b/.test(texts.join('\n'))
  }
  const content = 'Größe\r\n'.repeat(20_000)

  test.each([
    ['an attached message', true, { attachments: [{ filename: 'a.eml', content }] }],
    ['a part of 8 bits', true, { attachments: [{ content, contentTransferEncoding: '8bit' }] }],
    ['a raw attachment', true, { attachments: [{ raw: content }] }],
    ['a raw stream', true, { raw: Readable.from(['A: Größe\r\n\r\n', content]) }],
    ['text', false, { text: content, html: content }],
    ['an encoded attachment', false, { attachments: [{ filename: 'a', content }] }],
  ])('with %s: BODY=8BITMIME %s', async (_, declared, mail) => {
    expect(await isDeclared(mail)).toBe(declared)
  })
})
