/**
 * What the programs on the pages need round them: names that a page has spoken of before, or that
 * are its reader's to fill in; and what has to be so when they have come to their end.
 *
 * @module
 */

export interface Program {
  page: string
  /** What stands in this block of the page and in no other */
  has: string
  /** TypeScript in front of it, and behind it; `world`, `expect` and `folder` are there */
  before?: string
  after?: string
  /** It needs `node:sqlite`, and says so where this Node has none */
  needs?: 'sqlite'
}

const NODEMAILER = `import nodemailer from 'nodemailer'
import { mtaStsTransport } from 'mta-sts/nodemailer'
`

const TRANSPORTER = `${NODEMAILER}
const example = world.domain('example.com', { mode: 'enforce' })
const transporter = nodemailer.createTransport(mtaStsTransport())
const message = { from: 'me@sender.example', to: 'you@example.com', subject: 'Hi', text: 'Hello!' }
`

const HELLO = "{ from: 'me@sender.example', to: 'you@example.com', text: 'Hello!' }"

const OWN_SENDER = `import { MtaSts } from 'mta-sts'
const sts = new MtaSts()
const example = world.domain('example.com', { mode: 'enforce', mx: ['mx1', 'mx2'] })
const message = 'Subject: Hi\\r\\n\\r\\nHello!\\r\\n'
`

/** Of an entry for `StoredPolicy`. */
const ENTRY = `const now = Date.now()
const entry = {
  id: '1',
  body: 'version: STSv1\\nmode: none\\nmax_age: 60\\n',
  fetchedAt: now,
  expiresAt: now + 60_000,
  usedAt: now,
}
`

const REPORTER = `import { memoryReportStore, TlsReporter } from 'mta-sts/tlsrpt'
import { generateKeyPairSync } from 'node:crypto'
${NODEMAILER}
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const reporter = new TlsReporter({
  organizationName: 'Sender Ltd',
  contactInfo: 'postmaster@sender.example',
  submitter: 'sender.example',
  store: memoryReportStore(),
  transporter: nodemailer.createTransport(mtaStsTransport()),
  dkim: { domainName: 'sender.example', keySelector: 'reports', privateKey },
})
`

const README: readonly Omit<Program, 'page'>[] = [
  {
    // The imports are part of the five lines, with no line between
    has: "from 'mta-sts/nodemailer'\nconst transporter = nodemailer.createTransport(mtaStsTransport({",
    before: "const example = world.domain('example.com', { mode: 'enforce' })\n",
    after: `
expect(example.inbox).toMatchObject([{ tls: { servername: 'mx.example.com' } }])
expect(world.connections[0]?.lines.map(({ text }) => text)).toContain('EHLO mail.sender.example')
`,
  },
  {
    has: 'DeliveryRefusedError',
    before: "world.domain('example.com', { mode: 'enforce' }).mx().fails('expired')\n",
    after: `
expect(world.connections.map(({ mailFrom }) => mailFrom)).toEqual([undefined])
`,
  },
  { has: 'const { deliveries }', before: "world.domain('example.com', { mode: 'enforce' })\n" },
  {
    has: 'withMtaSts(smartHost)',
    before: `
const submission = world.smartHost('smtp.example.com', { auth: { user: 'me', pass: 'secret' } })
world.domain('smtp.example.com', { mode: 'enforce', mx: [] })
`,
    after: `
expect(submission.inbox).toHaveLength(1)
submission.fails('expired')
await expect(transporter.sendMail(${HELLO})).rejects.toMatchObject({ code: 'EMTASTS' })
`,
  },
  {
    has: 'sts.deliver(',
    before: `
const example = world.domain('example.com', { mode: 'enforce', mx: ['mx1', 'mx2'] })
example.mx('mx1').fails('self-signed')
`,
    after: `
expect(response).toMatch(/^250 /)
expect(example.mx('mx1').connections).toMatchObject([{ mailFrom: undefined }])
expect(example.mx('mx2').inbox).toHaveLength(1)
`,
  },
  {
    has: 'sqliteStore(',
    needs: 'sqlite',
    before: "const example = world.domain('example.com', { mode: 'enforce' })\n",
    after: `
await transporter.sendMail(${HELLO})
expect(await store.get('example.com')).toMatchObject({ id: example.id })
transporter.close()
`,
  },
  { has: 'createMailWorld()', after: '\ntransporter.close()\n' },
]

const REPORTS: readonly Omit<Program, 'page'>[] = [
  {
    has: 'new TlsReporter(',
    before: `import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
writeFileSync('reports.pem', key.export({ type: 'pkcs8', format: 'pem' }))
`,
  },
  {
    has: 'sqliteReportStore(',
    needs: 'sqlite',
    after: '\nawait store.close?.()\n',
  },
  {
    has: 'reporter.sendReports()',
    before: `${REPORTER}
const example = world.domain('example.com', { mode: 'testing' })
world.dns.set('_smtp._tls.example.com', 'TXT', ['v=TLSRPTv1; rua=mailto:tls@example.com'])
await nodemailer.createTransport(mtaStsTransport()).sendMail(${HELLO})
world.forget()
world.clock.advance({ days: 1, minutes: 10 })
`,
    after: `
expect({ sent, postponed, abandoned, unwanted }).toEqual({
  sent: 1,
  postponed: 0,
  abandoned: 0,
  unwanted: 0,
})
expect(example.inbox).toHaveLength(1)
await reporter.close()
`,
  },
  { has: "subscribe('mta-sts:tlsrpt'" },
]

const OPERATING: readonly Omit<Program, 'page'>[] = [
  {
    has: 'sqliteStore(',
    needs: 'sqlite',
    before: "const example = world.domain('example.com', { mode: 'enforce' })\n",
    after: `
await transporter.sendMail(${HELLO})
expect(await store.get('example.com')).toMatchObject({ id: example.id })
transporter.close()
`,
  },
  {
    has: 'redisStore(',
    after: `
expect(await store.get('example.com')).toBe(undefined)
expect(commands).toEqual([['GET', 'mta-sts:policy:example.com']])
`,
  },
  {
    has: 'sts.refresh()',
    after: `
expect({ checked, renewed, changed, failed, dropped }).toEqual({
  checked: 0,
  renewed: 0,
  changed: 0,
  failed: 0,
  dropped: 0,
})
await sts.close()
`,
  },
  { has: 'first.close()' },
  {
    has: 'subscribe(',
    before: `${TRANSPORTER}world.domain('other.example').dns.fails('servfail')\n`,
    after: `
await transporter.sendMail(message)
await transporter.sendMail({ ...message, to: 'you@other.example' })
expect([...counts]).toEqual([
  ['deliveries enforce delivered', 1],
  ['policies sts-policy-fetch-error', 1],
  ['deliveries none delivered', 1],
])
`,
  },
]

const READING: readonly Omit<Program, 'page'>[] = [
  {
    has: 'readReports(',
    before: `import { formatReport } from 'mta-sts/tlsrpt'
import { writeFileSync } from 'node:fs'
const failure = { resultType: 'certificate-expired', failedSessionCount: 3 }
const reported = {
  policyType: 'sts',
  policyDomain: 'bob.example',
  totalSuccessfulSessionCount: 1200,
  totalFailureSessionCount: 3,
  failureDetails: [failure],
}
const day = { start: new Date('2026-08-01T00:00:00Z'), end: new Date('2026-08-01T23:59:59Z') }
const report = {
  organizationName: 'Sender Ltd',
  dateRange: day,
  reportId: '1',
  policies: [reported],
}
writeFileSync('reports.mbox', formatReport(report))
`,
    after: `
expect(printed).toEqual([
  [
    'bob.example',
    'would-defer',
    'enforce would have deferred 3 of 1,203 sessions (0.2 %), at a host that is not named: ' +
      'certificate-expired, last on 2026-08-01',
  ],
  ['sts', 1203, 3, 3],
])
`,
  },
]

const OWN_STORE: readonly Omit<Program, 'page'>[] = [
  {
    has: 'const store: PolicyStore',
    before: "const example = world.domain('example.com', { mode: 'enforce' })\n",
    after: `
await sts.getPolicy('example.com')
expect(entries.get('example.com')).toMatchObject({ id: example.id })
${ENTRY}
await store.set('example.com', entry)
expect(entries.get('example.com')).toEqual(entry)
await store.set('example.com', { ...entry, fetchedAt: now - 1 })
expect(await store.get('example.com')).toEqual(entry)
await store.delete('example.com')
expect(await store.get('example.com')).toBe(undefined)
await sts.close()
`,
  },
]

const CONTROL_FLOW: readonly Omit<Program, 'page'>[] = [
  {
    has: 'sts.getPolicy(',
    before: "const example = world.domain('example.com', { mode: 'enforce' })\n",
    after: "\nexpect(printed).toEqual([['enforce', example.id, expect.any(Date), undefined]])\n",
  },
]

const DANE: readonly Omit<Program, 'page'>[] = [
  {
    has: "const options = { name: 'mail.sender.example', dane: dane() }",
    before: `const example = world.domain('example.com')
example.dane()
const message = ${HELLO}
`,
  },
  { has: '.validates()' },
  {
    has: 'require: (domain)',
    before: NODEMAILER,
    after: `
world.domain('partner.example').dane({ fails: 'no-tlsa' })
const broken = world.domain('broken.example')
broken.dane({ fails: 'old-key' })
const transporter = nodemailer.createTransport(mtaStsTransport(options))
const to = (domain: string) => ({ from: 'me@sender.example', to: 'you@' + domain, text: 'Hello!' })
await expect(transporter.sendMail(to('partner.example'))).rejects.toMatchObject({
  failures: [{ resultType: 'dane-required' }],
})
await transporter.sendMail(to('broken.example'))
expect(broken.inbox).toHaveLength(1)
transporter.close()
`,
  },
  {
    has: "servers: ['127.0.0.1:5353']",
    before: NODEMAILER,
    after: `
world.domain('example.com').dane()
const transporter = nodemailer.createTransport(mtaStsTransport(options))
const { deliveries } = await transporter.sendMail(${HELLO})
expect(deliveries).toMatchObject([{ proved: 'dane' }])
transporter.close()
`,
  },
  {
    has: "fails: 'old-key'",
    before: `${NODEMAILER}
const message = { from: 'me@sender.example', to: 'b@bob.example', text: 'Hello' }
`,
    after: '\ntransporter.close()\n',
  },
]

const OWN_SENDER_PAGE: readonly Omit<Program, 'page'>[] = [
  {
    has: 'const result = await sts.deliver(',
    before: OWN_SENDER.replace('const sts = new MtaSts()\n', ''),
    after: "\nexpect(example.mx('mx1').inbox).toHaveLength(1)\n",
  },
  {
    has: 'connection.handOver()',
    before: `${OWN_SENDER}
import SMTPConnection from 'nodemailer/lib/smtp-connection/index.js'
const connection = await sts.open('example.com')
`,
    after: `
await new Promise<void>((resolve, reject) => {
  client.on('error', reject)
  client.connect(() => resolve())
})
client.quit()
expect(example.mx('mx1').connections).toHaveLength(1)
await sts.close()
`,
  },
]

const MIGRATION: readonly Omit<Program, 'page'>[] = [
  {
    has: 'await mxConnect(',
    before: "const example = world.domain('example.com', { mode: 'enforce' })\n",
    after: `
expect(example.inbox).toMatchObject([{ subject: 'Hi', tls: { servername: 'mx.example.com' } }])
expect(known.get('example.com')).toMatchObject({ mode: 'enforce' })
`,
  },
  {
    has: 'await sts.deliver(',
    before: "const example = world.domain('example.com', { mode: 'enforce' })\n",
    after: `
expect(example.inbox).toMatchObject([{ subject: 'Hi', tls: { servername: 'mx.example.com' } }])
`,
  },
]

const ROLL_OUT: readonly Omit<Program, 'page'>[] = [
  {
    has: 'reportOnly: true',
    before: `${NODEMAILER}
const example = world.domain('example.com', { mode: 'enforce' })
example.mx().fails('expired')
const message = ${HELLO}
`,
    after: '\nexpect(example.inbox).toHaveLength(1)\ntransporter.close()\n',
  },
  {
    has: 'const refusals',
    before: `${TRANSPORTER}example.mx().fails('expired')\n`,
    after: `
await expect(transporter.sendMail(message)).rejects.toMatchObject({ code: 'EMTASTS' })
expect([...refusals]).toEqual([['example.com certificate-expired', 1]])
transporter.close()
`,
  },
]

const on = (page: string, programs: readonly Omit<Program, 'page'>[]): Program[] =>
  programs.map((program) => ({ page, ...program }))

export const PROGRAMS: readonly Program[] = [
  ...on('README.md', README),
  ...on('docs/reports.md', REPORTS),
  ...on('docs/reading-reports.md', READING),
  ...on('docs/operating.md', OPERATING),
  ...on('docs/own-store.md', OWN_STORE),
  ...on('docs/control-flow.md', CONTROL_FLOW),
  ...on('docs/dane.md', DANE),
  ...on('docs/roll-out.md', ROLL_OUT),
  ...on('docs/own-sender.md', OWN_SENDER_PAGE),
  ...on('docs/migration.md', MIGRATION),
]
