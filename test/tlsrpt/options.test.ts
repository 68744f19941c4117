import { channel } from 'node:diagnostics_channel'
import nodemailer, { type Transporter } from 'nodemailer'
import { afterEach, describe, expect, it } from 'vitest'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import { type ReportTransporter, TlsReporter } from '../../src/tlsrpt/index.js'
import { resolveReporterOptions } from '../../src/tlsrpt/options.js'
import { publishSession, reporterOptions } from './support.js'

const reporters: TlsReporter[] = []
afterEach(async () => {
  for (const reporter of reporters.splice(0)) await reporter.close()
})

describe('the options', () => {
  it('have defaults', () => {
    const { sending: _, random: __, now: ___, resolver: ____, ...few } = reporterOptions()
    expect(resolveReporterOptions(few)).toMatchObject({
      days: 'all',
      sending: 'automatic',
      spread: 14_400_000,
      flushInterval: 5000,
      collector: { maxDomains: 100_000, maxFailures: 1000 },
      post: { postTimeout: 60_000, dnsTimeout: 5000 },
      mail: { submitter: 'sender.example', from: 'tlsrpt@sender.example' },
    })
  })

  it('are converted to A-labels for domains', () => {
    const { mail } = resolveReporterOptions(
      reporterOptions({
        submitter: 'Mail.Bücher.example',
        dkim: { ...reporterOptions().dkim, domainName: 'bücher.example' },
      }),
    )
    expect(mail).toMatchObject({
      submitter: 'mail.xn--bcher-kva.example',
      from: 'tlsrpt@mail.xn--bcher-kva.example',
      dkim: { keys: [{ domainName: 'xn--bcher-kva.example' }] },
    })
  })

  it.each<[string, object]>([
    ['organizationName', { organizationName: ' ' }],
    ['organizationName', { organizationName: undefined }],
    ['contactInfo', { contactInfo: 'nobody' }],
    ['contactInfo', { contactInfo: 'A <a@b.example>' }],
    ['contactInfo', { contactInfo: 'a@b.example\r\nBcc: c@d.example' }],
    ['submitter', { submitter: 'not a domain' }],
    ['submitter', { submitter: undefined }],
    ['from', { from: 'a@b@c' }],
    ['store', { store: undefined }],
    ['store', { store: { add() {} } }],
    ['transporter', { transporter: undefined }],
    ['transporter', { transporter: { send() {} } }],
    ['days', { days: 'some' }],
    ['sending', { sending: true }],
    ['spread', { spread: -1 }],
    ['spread', { spread: 86_400_000 }],
    ['flushInterval', { flushInterval: 0 }],
    ['postTimeout', { postTimeout: 'long' }],
    ['maxDomains', { maxDomains: 0 }],
    ['maxFailures', { maxFailures: 1.5 }],
    ['random', { random: 0.5 }],
    ['resolver', { resolver: {} }],
    ['blockedAddresses', { blockedAddresses: [] }],
    ['ca', { ca: 'nonsense' }],
    ['now', { now: 5 }],
    ['logger', { logger: {} }],
  ])('are refused with a message that names "%s": %j', (field, wrong) => {
    const make = () => new TlsReporter({ ...reporterOptions(), ...Object(wrong) })
    expect(make).toThrow(TypeError)
    expect(make).toThrow(`The option "${field}"`)
  })

  it.each([undefined, null, 5])('are refused where they are %j', (options: unknown) => {
    const make = () => Reflect.construct(TlsReporter, [options])
    expect(make).toThrow('The option "options" must be an object')
  })

  it('accept the transporters of Nodemailer, by type and at run time', async () => {
    const made: Transporter[] = [
      nodemailer.createTransport({ host: '127.0.0.1' }),
      nodemailer.createTransport({ host: '127.0.0.1', pool: true }),
      nodemailer.createTransport({ jsonTransport: true }),
    ]
    const sts = nodemailer.createTransport(mtaStsTransport())
    const transporters: ReportTransporter[] = [...made, sts]
    for (const transporter of transporters) {
      await using reporter = new TlsReporter(reporterOptions({ transporter }))
      expect(reporter).toBeInstanceOf(TlsReporter)
    }
    for (const transporter of made) transporter.close()
    sts.close()
  })

  it('are refused for a second reporter of a submitter until the first is closed', async () => {
    const first = new TlsReporter(reporterOptions())
    reporters.push(first)
    const second = () => new TlsReporter(reporterOptions({ submitter: 'Sender.Example' }))
    expect(second).toThrow(expect.objectContaining({ code: 'EREPORTER' }))
    // The refused one must not have started anything
    publishSession()
    expect(channel('mta-sts:session').hasSubscribers).toBe(true)
    await first.close()
    expect(channel('mta-sts:session').hasSubscribers).toBe(false)
    await using third = second()
    expect(third).toBeInstanceOf(TlsReporter)
  })

  it('belong to a reporter that await using closes', async () => {
    const options = reporterOptions()
    let closed = 0
    const store = {
      ...options.store,
      close: async () => {
        closed++
      },
    }
    {
      await using reporter = new TlsReporter({ ...options, store })
      expect(reporter).toBeInstanceOf(TlsReporter)
    }
    expect(closed).toBe(1)
  })
})
