/** What becomes of a message: the same on the plain transport and on ours. */
import { generateKeyPairSync } from 'node:crypto'
import { Readable } from 'node:stream'
import { ABORTS, LINE } from './differences.js'
import { type Case, comparable, contract, MESSAGE, outcome, SIZE, until } from './smart-host.js'

const ENVELOPE = { from: 'me@sender.example', to: ['you@example.com'] }
const RAW = 'Subject: raw\r\n\r\nraw, .\r\n.dots\r\n'

const { privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})

/** A stream that breaks after its first bytes. */
function broken(): Readable {
  let begun = false
  return new Readable({
    read() {
      if (begun) this.destroy(Object.assign(new Error('the disk is gone'), { code: 'EIO' }))
      else this.push('the beginning')
      begun = true
    },
  })
}

/** Cases for every transport, `mtaStsTransport` included. */
const EVERYWHERE: Record<string, Case> = {
  'one message': ({ make }) => outcome(make().sendMail(MESSAGE)),
  'the callback form': ({ make }) =>
    new Promise((resolve) => {
      const returned = make().sendMail(MESSAGE, (error, info) =>
        resolve([returned, comparable(error ?? info)]),
      )
    }),
  'the callback form, refused': ({ make }) =>
    new Promise((resolve) =>
      make().sendMail({ ...MESSAGE, from: 'refused@sender.example' }, (error, info) =>
        resolve([info, comparable(error ?? {})]),
      ),
    ),
  'a sender that is refused': ({ make }) =>
    outcome(make().sendMail({ ...MESSAGE, from: 'refused@sender.example' })),
  'a recipient that is refused': ({ make }) =>
    outcome(make().sendMail({ ...MESSAGE, to: ['refused@example.com', 'you@example.com'] })),
  'all recipients refused': ({ make }) =>
    outcome(make().sendMail({ ...MESSAGE, to: ['refused@example.com', 'refused2@example.com'] })),
  'one recipient deferred, one refused': ({ make }) =>
    outcome(make().sendMail({ ...MESSAGE, to: ['later@example.com', 'refused@example.com'] })),
  'one recipient refused, one deferred': ({ make }) =>
    outcome(make().sendMail({ ...MESSAGE, to: ['refused@example.com', 'later@example.com'] })),
  'no recipients': ({ make }) => outcome(make().sendMail({ from: 'me@sender.example' })),
  'cc, bcc and an envelope of its own': async ({ make }) => {
    const transporter = make()
    const copies = { ...MESSAGE, cc: 'cc@example.com', bcc: 'bcc@example.com' }
    const first = await outcome(transporter.sendMail(copies))
    return [first, await outcome(transporter.sendMail({ ...MESSAGE, envelope: ENVELOPE }))]
  },
  'priority and list headers': ({ make }) => {
    const list = { unsubscribe: 'https://sender.example/no', help: 'help@sender.example' }
    return outcome(make().sendMail({ ...MESSAGE, priority: 'high', list }))
  },
  'alternatives and attachments': ({ make }) => {
    const attachments = [
      { filename: 'a.txt', content: 'a' },
      { filename: 'b.txt', content: Buffer.from('b') },
      { filename: 'c.txt', content: Readable.from(['c', 'd']) },
      { filename: 'd.txt', path: 'data:text/plain;base64,ZA==' },
    ]
    return outcome(make().sendMail({ ...MESSAGE, html: '<p>Hello</p>', attachments }))
  },
  'raw: a string': ({ make }) => outcome(make().sendMail({ raw: RAW, envelope: ENVELOPE })),
  'raw: bytes': ({ make }) =>
    outcome(make().sendMail({ raw: Buffer.from(RAW), envelope: ENVELOPE })),
  'raw: a stream': ({ make }) =>
    outcome(make().sendMail({ raw: Readable.from([RAW]), envelope: ENVELOPE })),
  'text from a stream': ({ make }) =>
    outcome(make().sendMail({ ...MESSAGE, text: Readable.from(['from ', 'a stream']) })),
  'defaults of createTransport': ({ make }) => {
    const defaults = { subject: 'Default', headers: { 'X-Default': 'yes' } }
    return outcome(make({}, defaults).sendMail({ ...MESSAGE, subject: undefined }))
  },
  'dkim of a message': ({ make }) => {
    const dkim = { domainName: 'sender.example', keySelector: 'k', privateKey }
    return outcome(make().sendMail({ ...MESSAGE, dkim }))
  },
  'disableFileAccess of a message': ({ make }) => {
    const attachments = [{ path: import.meta.filename }]
    return outcome(make().sendMail({ ...MESSAGE, attachments, disableFileAccess: true }))
  },
  'disableUrlAccess of a message': ({ make }) => {
    const attachments = [{ href: 'http://127.0.0.1:1/' }]
    return outcome(make().sendMail({ ...MESSAGE, attachments, disableUrlAccess: true }))
  },
  'plugins and meta': async ({ make }) => {
    const transporter = make()
    transporter.use('compile', (mail, done) => {
      mail.data.subject = String(transporter.get('subject'))
      done()
    })
    transporter.use('stream', (mail, done) => {
      mail.message.addHeader('X-Plugin', 'stream')
      done()
    })
    transporter.set('subject', 'By a plugin')
    return [await outcome(transporter.sendMail(MESSAGE)), transporter.get('subject')]
  },
  'a plugin that fails, then a good message': async ({ make }) => {
    const transporter = make()
    let fails = true
    transporter.use('compile', (_, done) => done(fails ? new Error('not today') : null))
    const first = await outcome(transporter.sendMail(MESSAGE))
    fails = false
    return [first, await outcome(transporter.sendMail(MESSAGE))]
  },
  'a plugin that throws, then a good message': async ({ make }) => {
    const transporter = make()
    let fails = true
    transporter.use('stream', (_, done) => {
      if (fails) throw new Error('thrown by a plugin')
      done()
    })
    const send = async () => transporter.sendMail(MESSAGE)
    const first = await outcome(send())
    fails = false
    return [first, await outcome(send())]
  },
  'a plugin that changes the envelope': ({ make }) => {
    const transporter = make()
    transporter.use('stream', (mail, done) => {
      mail.message.setEnvelope({ from: 'other@sender.example', to: ['other@example.com'] })
      done()
    })
    return outcome(transporter.sendMail(MESSAGE))
  },
  'three messages, one after the other': async ({ make }) => {
    const transporter = make()
    const sent: unknown[] = []
    for (const subject of ['1', '2', '3']) {
      sent.push(await outcome(transporter.sendMail({ ...MESSAGE, subject })))
    }
    return sent
  },
}

contract('a message, on every transport', EVERYWHERE, {
  transports: ['single', 'pool', 'direct'],
})

/** Cases of SMTP transports: their options, and errors with the words of the client. */
const SMTP: Record<string, Case> = {
  'all recipients refused, then a good message': async ({ make }) => {
    const transporter = make()
    const refused = { ...MESSAGE, to: 'refused@example.com' }
    const first = await outcome(transporter.sendMail(refused))
    return [first, await outcome(transporter.sendMail(MESSAGE))]
  },
  DSN: ({ make }) => {
    const dsn = { id: 'x', return: 'headers', notify: 'never', recipient: 'me@sender.example' }
    return outcome(make().sendMail({ ...MESSAGE, dsn } as never))
  },
  'DSN that makes no sense': ({ make }) =>
    outcome(make().sendMail({ ...MESSAGE, dsn: { return: 'half' } } as never)),
  'SIZE: declared, and too large': ({ make }) => {
    const envelope = { ...ENVELOPE, size: SIZE + 1 }
    return outcome(make().sendMail({ ...MESSAGE, envelope } as never))
  },
  'SIZE: not declared, and too large': ({ make }) =>
    outcome(make().sendMail({ ...MESSAGE, text: 'x'.repeat(SIZE + 1) })),
  'a recipient that is no address': ({ make }) =>
    outcome(make().sendMail({ ...MESSAGE, envelope: { ...ENVELOPE, to: ['a b <c>'] } })),
  'an address in UTF-8': ({ make }) =>
    outcome(make().sendMail({ ...MESSAGE, envelope: { ...ENVELOPE, to: ['jürgen@example.com'] } })),
  'a file that does not exist': ({ make }) =>
    outcome(make().sendMail({ ...MESSAGE, attachments: [{ path: '/nowhere/nothing' }] })),
  'X-Mailer names the transport': async ({ make, host }) => {
    await make().sendMail(MESSAGE)
    return /^X-Mailer: (.*(?:\r\n .*)*)/m.exec(host.got[0]?.text ?? '')?.[1]
  },
  'dkim of the transport': ({ make }) => {
    const dkim = { domainName: 'sender.example', keySelector: 'k', privateKey }
    return outcome(make({ dkim }).sendMail(MESSAGE))
  },
  disableFileAccess: ({ make }) => {
    const attachments = [{ path: import.meta.filename }]
    return outcome(make({ disableFileAccess: true }).sendMail({ ...MESSAGE, attachments }))
  },
  disableUrlAccess: ({ make }) => {
    const attachments = [{ href: 'http://127.0.0.1:1/' }]
    return outcome(make({ disableUrlAccess: true }).sendMail({ ...MESSAGE, attachments }))
  },
  attachDataUrls: async ({ make, host }) => {
    const html = '<img alt="" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'
    await make({ attachDataUrls: true }).sendMail({ ...MESSAGE, html })
    const found = /cid:/.test(host.got[0]?.text ?? '')
    // The content id is random
    host.got = []
    return found
  },
  normalizeHeaderKey: ({ make }) => {
    const normalizeHeaderKey = (key: string) => key.toUpperCase()
    return outcome(make({ normalizeHeaderKey }).sendMail(MESSAGE))
  },
  maxRecipients: ({ make }) =>
    outcome(
      make({ maxRecipients: 1 }).sendMail({ ...MESSAGE, to: ['a@b.example', 'c@d.example'] }),
    ),
}

contract('a message, on an SMTP transport', SMTP)

const BROKEN: Record<string, Case> = {
  'a stream that fails half-way, then a good message': async ({ make }) => {
    const transporter = make()
    const first = await outcome(transporter.sendMail({ ...MESSAGE, text: broken() }))
    return [first, await outcome(transporter.sendMail(MESSAGE))]
  },
  'raw that fails half-way': ({ make }) =>
    outcome(make().sendMail({ raw: broken(), envelope: ENVELOPE })),
}

// Nodemailer 8 and 9 read the message before MAIL FROM, and notice that it is broken then
contract('a message that cannot be read', BROKEN, { commands: LINE >= 10 })

/** Before version 10 the transports of Nodemailer know no signals; ours do with every version. */
const SIGNALS: Record<string, Case> = {
  'aborted before': ({ make }) =>
    outcome(make().sendMail({ ...MESSAGE, signal: AbortSignal.abort() } as never)),
  'aborted while it is sent, then a good message': async ({ make, host }) => {
    const transporter = make()
    const release = host.hold()
    const controller = new AbortController()
    const { signal } = controller
    const sending = outcome(transporter.sendMail({ ...MESSAGE, signal } as never))
    await until(1, () => host.got.length)
    controller.abort(new Error('enough'))
    const first = await sending
    release()
    return [first, await outcome(transporter.sendMail(MESSAGE))]
  },
  'aborted in the queue': async ({ make, host, transport }) => {
    const transporter = make(transport === 'pool' ? { maxConnections: 1 } : {})
    const release = host.hold()
    const first = outcome(transporter.sendMail(MESSAGE))
    await until(1, () => host.got.length)
    const controller = new AbortController()
    const { signal } = controller
    const second = outcome(transporter.sendMail({ ...MESSAGE, subject: '2', signal } as never))
    controller.abort()
    const aborted = await second
    const third = outcome(transporter.sendMail({ ...MESSAGE, subject: '3' }))
    release()
    return [aborted, await first, await third]
  },
  'not a signal': ({ make }) => outcome(make().sendMail({ ...MESSAGE, signal: 'no' } as never)),
}

if (ABORTS) {
  contract('an aborted signal', SIGNALS, {
    transports: ['single', 'pool', 'direct'],
    sideBySide: true,
  })
}
