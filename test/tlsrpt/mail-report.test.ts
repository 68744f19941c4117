import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import nodemailer from 'nodemailer'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type DkimKey, parseReport, type ReportMail, TlsReporter } from '../../src/tlsrpt/index.js'
import {
  checkDkim,
  composeMail,
  type MailSettings,
  mailReport,
} from '../../src/tlsrpt/mail-report.js'
import { makeFile, type ReportFile } from '../../src/tlsrpt/report-file.js'
import { headerOf, problemWith, Receiver } from './receiver.js'
import {
  counts,
  DAY,
  DKIM,
  FakeResolver,
  FakeTransporter,
  failedSession,
  plainSession,
  publishSession,
  reporterOptions,
  session,
  TODAY,
  TODAY_NOON,
} from './support.js'

const FROM = 'tlsrpt@sender.example'
const SETTINGS: MailSettings = {
  organizationName: 'Sender Ltd',
  contactInfo: 'postmaster@sender.example',
  submitter: 'sender.example',
  from: FROM,
  transporter: new FakeTransporter(),
  dkim: checkDkim(DKIM, FROM),
  now: () => TODAY_NOON + DAY,
}

function fileFor(domain: string, settings = SETTINGS): ReportFile {
  const claimed = { ...counts(domain, TODAY, 3), progress: { attempts: 0, done: [] }, claim: '' }
  return makeFile({ ...claimed, id: '0123456789abcdef' }, settings)
}

/** The message as sent, signed by Nodemailer. */
async function signedMail(settings = SETTINGS): Promise<Buffer> {
  const stream = nodemailer.createTransport({ streamTransport: true, buffer: true })
  const sent: Buffer[] = []
  const transporter = {
    async sendMail(mail: ReportMail) {
      const { message } = await stream.sendMail(mail)
      if (!Buffer.isBuffer(message)) throw new Error('there is no message')
      sent.push(message)
    },
  }
  await mailReport('reports@bob.example', fileFor('bob.example', settings), {
    ...settings,
    transporter,
  })
  return Buffer.concat(sent)
}

describe('a receiver', () => {
  const receiver = new Receiver()
  const reporters: TlsReporter[] = []
  beforeAll(() => receiver.listen())
  afterEach(async () => {
    for (const reporter of reporters.splice(0)) await reporter.close()
    receiver.received.length = 0
    receiver.refused.length = 0
  })
  afterAll(() => receiver.close())

  /** The reports of one day, sent through Nodemailer's own SMTP transport. */
  async function sendDay(events: readonly unknown[], dkim: DkimKey = DKIM) {
    const transporter = nodemailer.createTransport({ host: '127.0.0.1', port: receiver.port })
    const clock = { time: TODAY_NOON }
    const resolver = new FakeResolver({
      'bob.example': 'mailto:reports@bob.example',
      'carol.example': 'mailto:tls@collector.example?subject=x',
    })
    const now = () => clock.time
    const reporter = new TlsReporter(reporterOptions({ transporter, resolver, now, dkim }))
    reporters.push(reporter)
    for (const event of events) publishSession(event)
    await reporter.flush()
    clock.time += DAY
    const summary = await reporter.sendReports()
    transporter.close()
    return summary
  }

  it('[RPT-7] [RPT-9] accepts reports signed by the submitter, and reads them back unchanged', async () => {
    const events = [session(), failedSession(), failedSession(), plainSession('carol.example')]
    expect(await sendDay(events)).toMatchObject({ sent: 2, postponed: 0 })
    expect(receiver.refused).toEqual([])
    const reports = new Map(receiver.received.map(({ to, report }) => [to.join(), report]))
    expect([...reports.keys()].sort()).toEqual(['reports@bob.example', 'tls@collector.example'])
    expect(reports.get('reports@bob.example')?.policies).toEqual([
      {
        policyType: 'sts',
        policyString: ['version: STSv1', 'mode: enforce', 'mx: mx.bob.example', 'max_age: 604800'],
        policyDomain: 'bob.example',
        mxHost: ['mx.bob.example'],
        totalSuccessfulSessionCount: 1,
        totalFailureSessionCount: 2,
        failureDetails: [
          {
            resultType: 'certificate-expired',
            sendingMtaIp: '198.51.100.7',
            receivingMxHostname: 'mx.bob.example',
            receivingMxHelo: 'mx.bob.example',
            receivingIp: '192.0.2.25',
            failedSessionCount: 2,
          },
        ],
      },
    ])
    expect(reports.get('tls@collector.example')?.policies).toMatchObject([
      { policyType: 'no-policy-found', totalSuccessfulSessionCount: 1 },
    ])
  })

  it('[RPT-9] refuses the signature of another key: the report is tried again', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    expect(await sendDay([session()], { ...DKIM, privateKey })).toMatchObject({ postponed: 1 })
    expect(receiver.refused).toEqual([expect.stringContaining('DKIM')])
  })
})

describe('the signature', () => {
  it('[RPT-9] covers the whole body, without l=, and every header that matters', async () => {
    const mail = (await signedMail()).toString('latin1')
    expect(await problemWith(Buffer.from(mail, 'latin1'))).toBeUndefined()
    for (const [from, to] of [
      [/TLS-Report-Domain: bob/, 'TLS-Report-Domain: eve'],
      [/TLS-Report-Submitter: sender/, 'TLS-Report-Submitter: Sender'],
      [/Subject: Report/, 'Subject: report'],
      [/To: reports@/, 'To: report@'],
      [/Date: S/, 'Date: M'],
      [/TLS-Required: No/, 'TLS-Required: Yes'],
      [/report-type="tlsrpt"/, 'report-type="x"'],
      [/(--=_tlsrpt_\w+--)\r\n/, '$1\r\nappended\r\n'],
    ] as const) {
      const changed = mail.replace(from, to)
      expect(changed).not.toBe(mail)
      expect(await problemWith(Buffer.from(changed, 'latin1'))).toBeDefined()
    }
    expect(headerOf(mail).get('dkim-signature')).not.toMatch(/;\s*l=/)
  })

  it('[RPT-9] is made with each of several keys', async () => {
    const other = { ...DKIM, domainName: 'example' }
    const dkim = checkDkim({ keys: [DKIM, other] }, FROM)
    const mail = (await signedMail({ ...SETTINGS, dkim })).toString()
    expect(mail.match(/^DKIM-Signature:/gm)?.length).toBe(2)
  })

  it('[RPT-9] signs each report, though the transporter changes the keys that it was passed', async () => {
    const kept: Array<string | undefined> = []
    const transporter = {
      async sendMail({ dkim: { keys } }: ReportMail) {
        kept.push(keys[0]?.privateKey)
        for (const key of keys.splice(0)) key.privateKey = ''
      },
    }
    const settings = { ...SETTINGS, transporter, dkim: checkDkim(DKIM, FROM) }
    for (const _ of [1, 2]) await mailReport('r@bob.example', fileFor('bob.example'), settings)
    expect(kept).toEqual(SETTINGS.dkim.keys.flatMap(({ privateKey }) => [privateKey, privateKey]))
  })

  it('[RPT-9] accepts every form of a key that Nodemailer accepts', () => {
    const { privateKey } = DKIM
    const keyObject = createPrivateKey(privateKey)
    for (const key of [privateKey, Buffer.from(privateKey), keyObject, { key: privateKey }]) {
      const { keys } = checkDkim({ ...DKIM, privateKey: key }, FROM)
      expect(keys).toMatchObject([{ domainName: 'sender.example', keySelector: '20260101' }])
    }
  })

  const pem = (key: ReturnType<typeof createPrivateKey>) =>
    key.export({ type: 'pkcs8', format: 'pem' }).toString()

  it.each<[string, unknown, RegExp]>([
    ['none', undefined, /must hold a key to sign reports with/],
    ['an empty list', { keys: [] }, /must hold a key to sign reports with/],
    ['no domain', { ...DKIM, domainName: undefined }, /domainName/],
    ['an address for a domain', { ...DKIM, domainName: '192.0.2.1' }, /domainName/],
    ['no selector', { ...DKIM, keySelector: '' }, /keySelector/],
    ['a selector with more in it', { ...DKIM, keySelector: 'a; l=5' }, /keySelector/],
    ['no key', { ...DKIM, privateKey: undefined }, /privateKey: RSA/],
    ['text for a key', { ...DKIM, privateKey: 'secret' }, /privateKey: RSA/],
    [
      'an Ed25519 key, with which Nodemailer would send without a signature',
      { ...DKIM, privateKey: pem(generateKeyPairSync('ed25519').privateKey) },
      /privateKey: RSA/,
    ],
    [
      'a short RSA key',
      { ...DKIM, privateKey: generateKeyPairSync('rsa', { modulusLength: 768 }).privateKey },
      /1024 bits/,
    ],
    ['a key of another domain', { ...DKIM, domainName: 'elsewhere.example' }, /sender\.example/],
    [
      'a public key',
      { ...DKIM, privateKey: generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey },
      /privateKey/,
    ],
  ])('[RPT-9] is refused when the reporter is made: %s', (_, dkim, message) => {
    const make = () => Reflect.construct(TlsReporter, [{ ...reporterOptions(), dkim }])
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
    expect(make).not.toThrow(/secret/)
  })

  it('[RPT-9] accepts the key of a domain above', () => {
    const { keys } = checkDkim(DKIM, 'tlsrpt@mail.sender.example')
    expect(keys).toMatchObject([{ domainName: 'sender.example' }])
    expect(() => checkDkim(DKIM, 'tlsrpt@notsender.example')).toThrow(/notsender\.example/)
  })
})

describe('the message', () => {
  const mail = composeMail('reports@bob.example', fileFor('bob.example'), SETTINGS)
  const header = headerOf(mail)

  it('[RPT-7] has the header of RFC 8460 §5.3', () => {
    expect(Object.fromEntries(header)).toEqual({
      from: 'tlsrpt@sender.example',
      to: 'reports@bob.example',
      date: 'Sun, 15 Mar 2026 12:00:00 +0000',
      subject:
        'Report Domain: bob.example Submitter: sender.example Report-ID: <0123456789abcdef@sender.example>',
      'message-id': '<0123456789abcdef@sender.example>',
      'mime-version': '1.0',
      'tls-report-domain': 'bob.example',
      'tls-report-submitter': 'sender.example',
      'tls-required': 'No',
      'auto-submitted': 'auto-generated',
      'content-type':
        'multipart/report; report-type="tlsrpt"; boundary="=_tlsrpt_0123456789abcdef"',
    })
  })

  it('[RPT-7] [RPT-8] has a part for people and a named one for machines', () => {
    const parts = mail.toString().split('--=_tlsrpt_0123456789abcdef')
    const [, people = '', machines = ''] = parts
    expect(parts.length).toBe(4)
    expect(people).toContain('Content-Type: text/plain; charset=utf-8\r\n')
    const text = Buffer.from(people.split('\r\n\r\n')[1] ?? '', 'base64').toString()
    expect(text).toContain('about mail for bob.example')
    expect(text).toContain('Sender Ltd')
    expect(text).toContain('2026-03-14')
    expect(text).toContain('3 sessions succeeded, 0 failed')
    expect(machines.split('\r\n\r\n')[0]).toBe(
      '\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment;\r\n filename="sender.example!bob.example!1773446400!1773532799!0123456789abcdef.json.gz"',
    )
  })

  it('[RPT-7] has short ASCII lines, even with the longest names', () => {
    const long = `${Array.from({ length: 3 }, () => 'a'.repeat(63)).join('.')}.example`
    const settings = { ...SETTINGS, submitter: long, organizationName: 'Größe\r\nBcc: x ☃' }
    const bytes = composeMail(`r@${long}`, fileFor(long, settings), settings)
    expect(bytes.toString('latin1')).toMatch(/^[\r\n\x20-\x7e]*$/)
    expect(
      Math.max(
        ...bytes
          .toString()
          .split('\r\n')
          .map((line) => line.length),
      ),
    ).toBeLessThan(998)
    expect(headerOf(bytes).has('bcc')).toBe(false)
    expect(parseReport(bytes).organizationName).toBe('Größe\r\nBcc: x ☃')
  })

  it('[RPT-3] [RPT-7] is read back as the same report', () => {
    expect(parseReport(mail)).toEqual(fileFor('bob.example').report)
  })

  it('[RPT-10] asks every host to deliver it despite TLS failures', async () => {
    const transporter = new FakeTransporter()
    await mailReport('r@bob.example', fileFor('bob.example'), { ...SETTINGS, transporter })
    // Transports read the mail's `headers`, later hosts read the message
    expect(transporter.sent[0]?.mail.headers).toEqual({ 'TLS-Required': 'No' })
    expect(header.get('tls-required')).toBe('No')
    expect(transporter.sent[0]?.mail.envelope).toEqual({ from: FROM, to: ['r@bob.example'] })
  })
})
