/** Messages that are composed at once have the bytes of Nodemailer's own stream. */
import { createRequire } from 'node:module'
import { PassThrough, Readable, Transform } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { SendMailOptions } from 'nodemailer'
import { describe, expect, it } from 'vitest'
import { compose, partsOf, sizeOf } from '../../src/nodemailer/compose.js'
import type { MailNode } from '../../src/nodemailer/types.js'

const load = createRequire(import.meta.url)

interface Compiled extends MailNode {
  content?: unknown
  newline?: string
  transform(stage: unknown): void
  processFunc(stage: (input: Readable) => Readable): void
  createChild(type: string): Compiled
  setContent(content: unknown): Compiled
}

type Composer = new (mail: SendMailOptions) => { compile(): Compiled }

const COMMON: SendMailOptions = {
  from: 'Größe <sender@sender.example>',
  to: ['one@domain.example', 'Zwölf <two@domain.example>'],
  bcc: 'hidden@domain.example',
  subject: 'A message',
  messageId: '<1@sender.example>',
  date: new Date(0),
}

const PLAIN: Record<string, SendMailOptions> = {
  'a text': { text: 'one\r\n.two\r\n' },
  'a text without a line end': { text: 'one\ntwo' },
  'a text that ends with CR': { text: 'one\r' },
  'no content at all': {},
  'a text and HTML': { text: 'one\n', html: '<p>one</p>' },
  'an attachment of 7 bits': {
    text: 'one\n',
    attachments: [{ filename: 'a.txt', content: 'two\n', contentTransferEncoding: '7bit' }],
  },
  'a calendar event': {
    text: 'one',
    alternatives: [{ contentType: 'text/calendar', content: 'BEGIN:VCALENDAR' }],
  },
  'a raw text': { raw: 'Subject: raw\n\n.Größe\n' },
  'raw bytes': { raw: Buffer.from([0x41, 0xff, 0x0d]) },
}

const ENCODED: Record<string, SendMailOptions> = {
  'a text that is not ASCII': { text: 'Größe\n'.repeat(500) },
  'a text in Base64': { text: 'Größe', textEncoding: 'base64' },
  'a long line': { text: 'x'.repeat(1000) },
  'an attachment': { text: 'one\n', attachments: [{ filename: 'a.bin', content: 'two' }] },
  'a text, HTML with an image, and bytes': {
    text: 'Größe',
    html: '<p>Größe<img src="cid:i"></p>',
    attachments: [
      { filename: 'i.png', cid: 'i', content: Buffer.alloc(30_000, 1) },
      { filename: 'b', content: Buffer.alloc(70_000, 2) },
    ],
  },
}

const OTHER: Record<string, SendMailOptions> = {
  'a stream as text': { text: Readable.from(['one']) },
  'a file as text': { text: { path: '/etc/hostname' } },
  'a raw stream': { raw: Readable.from(['one']) },
  'a newline of its own': { text: 'one\r\ntwo\r\n', newline: 'unix' },
}

const PLUGINS: Record<string, (message: Compiled) => void> = {
  'a transform': (message) => message.transform(() => new PassThrough()),
  'a process function': (message) => message.processFunc((input) => input.pipe(upperCase())),
  'a method of its own': (message) => {
    message.createReadStream = () => Readable.from(['other'])
  },
  'a part with a method of its own': (message) => {
    const part = message.createChild('text/plain').setContent('x')
    Object.assign(part, { stream: () => {} })
  },
  'an own class': (message) => {
    const own = Object.create(Object.getPrototypeOf(message))
    Object.setPrototypeOf(message, own)
  },
}

function composedOf(message: MailNode): ReturnType<typeof compose> {
  const parts = partsOf(message)
  return parts && compose(parts)
}

async function chunksOf(composed: ReturnType<typeof compose>): Promise<Uint8Array[]> {
  if (!(composed instanceof Promise)) throw new TypeError('The message has no encoded part')
  return composed
}

describe.each([
  ['8', 'nodemailer-8/lib/mail-composer/index.js'],
  ['9', 'nodemailer-9/lib/mail-composer/index.js'],
  ['10', 'nodemailer/lib/mail-composer/index.js'],
])('with Nodemailer %s', (_, path) => {
  const module = load(path)
  const MailComposer: Composer = module.default ?? module
  const compile = (mail: SendMailOptions) =>
    new MailComposer({ baseBoundary: 'x', ...COMMON, ...mail } as SendMailOptions).compile()

  it.each(Object.entries(PLAIN))('composes %s as the stream has it', async (_name, mail) => {
    const composed = composedOf(compile(mail))
    const streamed = await buffer(compile(mail).createReadStream())
    expect(composed).toBeInstanceOf(Uint8Array)
    expect(Buffer.from(composed as Uint8Array).toString('latin1')).toBe(streamed.toString('latin1'))
  })

  it.each(Object.entries(ENCODED))('composes %s as the stream has it', async (_name, mail) => {
    const composed = composedOf(compile(mail))
    expect(composed).toBeInstanceOf(Promise)
    const streamed = await buffer(compile(mail).createReadStream())
    expect(Buffer.concat(await chunksOf(composed)).toString('latin1')).toBe(
      streamed.toString('latin1'),
    )
  })

  it.each(Object.entries(OTHER))('leaves %s to the stream', (_name, mail) => {
    expect(composedOf(compile(mail))).toBeUndefined()
  })

  it.each(Object.entries(PLUGINS))(
    'leaves a message to the stream if a plugin adds %s',
    (_name, add) => {
      const message = compile({ text: 'one\n' })
      add(message)
      expect(composedOf(message)).toBeUndefined()
    },
  )

  it.each([
    ['an attachment', (content: Buffer) => ({ content, contentType: 'message/rfc822' })],
    ['a raw attachment', (raw: Buffer) => ({ raw })],
  ])('[SMTP-4] composes a copy of the bytes of %s, which may change later', async (_name, part) => {
    const bytes = Buffer.from('one\r\n'.repeat(20_000))
    const message = compile({ text: 'Größe', attachments: [part(bytes)] })
    const composed = await chunksOf(composedOf(message))
    bytes.write('\r\n.\r\nMAIL FROM:<>\r\n', 1000)
    expect(Buffer.concat(composed).includes('one\r\n'.repeat(20_000))).toBe(true)
  })

  it('counts the content of all parts in bytes', () => {
    const attachments = [{ raw: 'ö' }, { content: Buffer.alloc(3) }]
    const parts = partsOf(compile({ text: 'ö'.repeat(50), attachments }))
    expect(sizeOf(parts ?? [])).toBe(105)
    expect(partsOf(compile({ attachments: [{ path: '/etc/hostname' }] }))).toBeUndefined()
  })
})

it('leaves a message of another class to its stream', () => {
  const createReadStream = () => Readable.from(['one'])
  const message = { createReadStream, _transforms: [], _processFuncs: [] } as unknown as MailNode
  expect(composedOf(message)).toBeUndefined()
})

function upperCase(): Transform {
  return new Transform({
    transform: (chunk, _encoding, done) => done(null, String(chunk).toUpperCase()),
  })
}
