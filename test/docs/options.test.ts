/** The tables of options: each has all of them, with the defaults of the code. */
import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { resolveOptions } from '../../src/options.js'
import { memoryReportStore } from '../../src/tlsrpt/index.js'
import { resolveReporterOptions } from '../../src/tlsrpt/options.js'
import { pageAt, tableAfter } from './markdown.js'

/** What a table says: the cell of the default by option; `a, b` and `1, 2` are two of each. */
function documented(page: string, heading: string, which = 0): Map<string, string> {
  const [head, ...rows] = tableAfter(pageAt(page), heading, which)
  expect(head?.slice(0, 2)).toEqual(['option', 'default'])
  const options = rows.flatMap(([names = '', defaults = '']) => {
    const values = defaults.split(', ')
    return names.split(', ').map((name, index) => {
      expect(name).toMatch(/^`\w+`$/)
      return [name.slice(1, -1), values[index] ?? values[0] ?? ''] as const
    })
  })
  const map = new Map(options)
  expect(map.size).toBe(options.length)
  return map
}

interface Field {
  name: string
  comment: string
}

/** The fields of an interface, with their comments, by its source. */
function fieldsOf(file: string, name: string): Field[] {
  const [, body = ''] =
    new RegExp(`^export interface ${name}\\b[^{]*{\\n(.*?)^}`, 'ms').exec(pageAt(file)) ?? []
  const fields = body.matchAll(/\/\*\*\s+((?:(?!\*\/).)*) \*\/\n {2}(\w+)\??:/gs)
  return [...fields].map(([, comment = '', field = '']) => ({ name: field, comment }))
}

/** `number(options, 'name', { default: 1_000, ...`: what is said where options are read. */
function defaultsIn(file: string): Map<string, number> {
  const calls = pageAt(file).matchAll(/number\(options, '(\w+)', {\s*default: ([\d_]+)/g)
  return new Map([...calls].map(([, name = '', n = '']) => [name, Number(n.replaceAll('_', ''))]))
}

/** `1000 ms` for a duration, `1000` for anything else. */
function written(name: string, value: number): string {
  return /(?:Timeout|Interval|Ttl|Backoff|spread)$/.test(name) ? `${value} ms` : String(value)
}

/** Every number in a table, or in a comment, is the one of the code. */
function agrees(table: Map<string, string>, fields: readonly Field[], code: Map<string, unknown>) {
  const numbers = [...code].filter(([, value]) => typeof value === 'number')
  expect(numbers.length).toBeGreaterThan(4)
  for (const [name, value] of numbers) {
    expect([name, table.get(name)]).toEqual([name, written(name, Number(value))])
    const comment = fields.find((field) => field.name === name)?.comment
    expect([name, comment]).toEqual([name, expect.stringMatching(`[Dd]efault ${value}\\b`)])
  }
}

const CORE = fieldsOf('src/options.ts', 'MtaStsOptions')
const core = resolveOptions({})
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey

describe('README, the options of MtaSts', () => {
  const table = documented('README.md', '## Options')

  it('are all there', () => {
    expect([...table.keys()].toSorted()).toEqual(CORE.map(({ name }) => name).toSorted())
  })

  it('have the defaults of the code', () => {
    agrees(table, CORE, new Map(Object.entries(core)))
    expect(table.get('minimumSecurity')).toBe(`\`'${core.minimumSecurity}'\``)
    expect([core.store, core.logger]).toEqual([undefined, undefined])
    expect([table.get('store'), table.get('logger')]).toEqual(['none', 'none'])
    expect([core.now, table.get('now')]).toEqual([Date.now, '`Date.now`'])
  })

  it('block what they say', () => {
    for (const address of ['0.0.0.0', '127.0.0.1', '10.0.0.1', '169.254.1.1', '100.64.0.1']) {
      expect(core.blockedAddresses.check(address, 'ipv4')).toBe(true)
    }
    expect(core.blockedAddresses.check('100.63.0.1', 'ipv4')).toBe(false)
  })
})

describe('README, the options of mtaStsTransport', () => {
  const FILE = 'src/nodemailer/transport-options.ts'
  const logged = fieldsOf('src/nodemailer/transaction-log.ts', 'TransactionLogOptions')
  const fields = [...fieldsOf(FILE, 'MtaStsTransportOptions'), ...logged]
  const table = documented('README.md', '## Options', 1)

  it('are all there', () => {
    expect([...table.keys()].toSorted()).toEqual(fields.map(({ name }) => name).toSorted())
    expect(fieldsOf('src/nodemailer/core.ts', 'StsOptions').map(({ name }) => name)).toEqual([
      'sts',
      'logger',
    ])
  })

  it('have the defaults of the code', () => agrees(table, fields, defaultsIn(FILE)))
})

describe('docs/reports.md, the options of TlsReporter', () => {
  const fields = fieldsOf('src/tlsrpt/options.ts', 'TlsReporterOptions')
  const table = documented('docs/reports.md', '## By itself or by cron')
  const settings = resolveReporterOptions({
    organizationName: 'Sender Ltd',
    contactInfo: 'postmaster@sender.example',
    submitter: 'sender.example',
    store: memoryReportStore(),
    transporter: { sendMail: async () => undefined },
    dkim: { domainName: 'sender.example', keySelector: 'reports', privateKey: RSA },
  })

  it('are all there, but for those that have no default', () => {
    const shared = [
      ...['resolver', 'dnsTimeout', 'connect', 'blockedAddresses', 'ca', 'logger', 'now'],
    ]
    const required = [
      ...['organizationName', 'contactInfo', 'submitter', 'store', 'transporter', 'dkim'],
    ]
    const names = fields.map(({ name }) => name).filter((name) => !required.includes(name))
    expect([...table.keys()].toSorted()).toEqual([...names, ...shared].toSorted())
    for (const name of required) expect(pageAt('docs/reports.md')).toMatch(`\n  ${name}`)
  })

  it('have the defaults of the code', () => {
    const { spread, flushInterval, post, collector } = settings
    const { maxDomains, maxFailures } = collector
    const code = { spread, flushInterval, postTimeout: post.postTimeout, maxDomains, maxFailures }
    agrees(table, fields, new Map(Object.entries(code)))
    expect(table.get('days')).toBe(`\`'${settings.days}'\``)
    expect(table.get('sending')).toBe(`\`'${settings.sending}'\``)
    expect(settings.mail.from).toBe('tlsrpt@sender.example')
    expect(table.get('from')).toBe('`tlsrpt@` + submitter')
    expect([settings.random, table.get('random')]).toEqual([Math.random, '`Math.random`'])
  })
})
