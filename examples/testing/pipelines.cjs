/**
 * Ten programs that send mail, each tested in at most fifteen lines. The files beside this one run
 * them with Vitest, Jest, node:test and Bun.
 */
const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const { generateKeyPairSync } = require('node:crypto')
const { once } = require('node:events')
const nodemailer = require('nodemailer')

const from = 'shop@shop.example'
const to = 'b@bob.example'

exports.pipelines = {
  /** A message by a smart host that asks for a login. */
  async transactional({ world }) {
    const smtp = world.smartHost('smtp.p.example', { auth: { user: 'me', pass: 'secret' } })
    const transporter = nodemailer.createTransport(world.nodemailer(smtp))
    await transporter.sendMail({ from, to, subject: 'Your order', text: 'Thank you!' })
    const mail = await smtp.inbox.next({ to })
    assert.equal(mail.subject, 'Your order')
    assert.equal(mail.user, 'me')

    smtp.fails({ at: 'auth', reply: '535 5.7.8 Wrong password' })
    await assert.rejects(transporter.sendMail({ from, to }), { code: 'EAUTH', responseCode: 535 })
  },

  /** A queue that tries again what was deferred. */
  async retryQueue({ world, mtaStsTransport }) {
    const bob = world.domain('bob.example', { mode: 'enforce' })
    const transporter = nodemailer.createTransport(mtaStsTransport(world.options()))
    const outage = bob.mx().fails('unreachable', { times: 2 })
    let attempts = 0
    for (let queued = true; queued; attempts++) {
      const sent = transporter.sendMail({ from, to, text: 'Hello' })
      queued = await sent.then(
        () => false,
        (error) => !error.permanent,
      )
    }
    transporter.close()
    assert.deepEqual([attempts, outage.met, bob.inbox.length], [3, 2, 1])
    world.verify()
  },

  /** A newsletter to 2,000 readers of 50 domains: one is gone, one domain greylists. */
  async newsletter({ world, mtaStsTransport }) {
    const shop = world.domain('shop.example')
    const domains = Array.from({ length: 50 }, (_, n) => world.domain(`d${n}.example`))
    domains[7].mx().greylists({ for: { minutes: 5 } })
    domains[8].mx().bounces({ to: /^reader1@/ })
    const transporter = nodemailer.createTransport(mtaStsTransport(world.options()))
    const send = (to) =>
      transporter.sendMail({ from, to, text: 'News' }).catch(() => waiting.push(to))
    const waiting = []
    const readers = ({ name }) => Array.from({ length: 40 }, (_, n) => `reader${n}@${name}`)
    for (const domain of domains) await Promise.all(readers(domain).map(send))
    assert.equal(waiting.length, 40)
    world.clock.advance({ minutes: 6 })
    await Promise.all(waiting.map(send))
    assert.equal(world.inbox.length, 2000)
    await shop.inbox.next({ subject: /undeliver/i })
  },

  /** A link in a mail, as a user would click it. */
  async resetLink({ world }) {
    const bob = world.domain('bob.example')
    const transporter = nodemailer.createTransport(world.nodemailer())
    const html =
      '<p>Your code is 481516. <a href="https://shop.example/reset?token=t0k3n&amp;u=1">Reset</a></p>'
    const waiting = bob.inbox.next({ subject: /reset/i })
    await transporter.sendMail({
      from,
      to,
      subject: 'Reset your password',
      html,
      text: 'Your code is 481516.',
    })
    const mail = await waiting
    assert.equal(mail.link('/reset').searchParams.get('token'), 't0k3n')
    assert.equal(mail.code, '481516')
  },

  /** A DKIM signature, verified with the key in the DNS of the world. */
  async dkim({ world }) {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const p = publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
    world.dns.set('k1._domainkey.shop.example', 'TXT', [`v=DKIM1; k=rsa; p=${p}`])
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
    const dkim = { domainName: 'shop.example', keySelector: 'k1', privateKey: key }
    const transporter = nodemailer.createTransport({ ...world.nodemailer(), dkim })
    await transporter.sendMail({ from, to, subject: 'Signed', text: 'Hello' })
    const [signature] = await (await world.inbox.next()).dkim()
    assert.deepEqual([signature.domain, signature.result], ['shop.example', 'pass'])
  },

  /** A bill as a file. */
  async attachments({ world }) {
    const transporter = nodemailer.createTransport(world.nodemailer())
    const attachments = [{ filename: 'Rechnung für Bob.pdf', content: Buffer.from('%PDF-1.7') }]
    await transporter.sendMail({ from, to, subject: 'Your bill', text: 'Attached', attachments })
    const mail = await world.inbox.next({ subject: 'Your bill' })
    const [file] = mail.attachments
    assert.equal(file.filename, 'Rechnung für Bob.pdf')
    assert.equal(file.mimeType, 'application/pdf')
    assert.equal(file.content.toString(), '%PDF-1.7')
  },

  /** The first MX host is away for a while: mail goes to the second, and then to the first again. */
  async mxComesBack({ world, mtaStsTransport }) {
    const bob = world.domain('bob.example', { mode: 'enforce', mx: ['mx1', 'mx2'] })
    const options = { ...world.options(), maxMessages: 1 }
    const transporter = nodemailer.createTransport(mtaStsTransport(options))
    bob.mx('mx1').fails('unreachable', { during: { hours: 1 } })
    await transporter.sendMail({ from, to, text: 'Hello' })
    world.clock.advance({ hours: 2 })
    await transporter.sendMail({ from, to, text: 'Hello again' })
    transporter.close()
    assert.deepEqual(
      bob.inbox.map(({ mx }) => mx),
      ['mx2.bob.example', 'mx1.bob.example'],
    )
  },

  /** A domain begins to demand TLS: the sender learns of it, and refuses what it took before. */
  async policyChange({ world, mtaStsTransport }) {
    const bob = world.domain('bob.example', { mode: 'testing' })
    const options = { ...world.options(), maxMessages: 1 }
    const transporter = nodemailer.createTransport(mtaStsTransport(options))
    bob.mx().fails('wrong-name')
    await transporter.sendMail({ from, to, text: 'Hello' })
    bob.policy({ mode: 'enforce' })
    world.clock.advance({ days: 1 })
    await assert.rejects(transporter.sendMail({ from, to, text: 'Hello' }), { code: 'EMTASTS' })
    transporter.close()
    assert.equal(bob.inbox.length, 1)
  },

  /** A provider that takes three messages a minute. */
  async rateLimit({ world }) {
    const smtp = world.smartHost('smtp.p.example')
    smtp.limits({ messages: { count: 3, per: { minutes: 1 } }, reply: '421 4.7.0 Slow down' })
    const transporter = nodemailer.createTransport(world.nodemailer(smtp))
    const send = () => transporter.sendMail({ from, to, text: 'Hello' })
    for (let n = 0; n < 3; n++) await send()
    await assert.rejects(send(), { responseCode: 421 })
    world.clock.advance({ minutes: 1 })
    await send()
    assert.equal(smtp.inbox.length, 4)
  },

  /** A program in another language, in a process of its own. */
  async anotherLanguage({ world }) {
    const smtp = world.smartHost('smtp.p.example', { auth: { user: 'me', pass: 'secret' } })
    const env = { ...process.env, ...(await world.env(smtp)) }
    const program = `
import os, smtplib, ssl
with smtplib.SMTP(os.environ['SMTP_HOST'], int(os.environ['SMTP_PORT'])) as smtp:
    smtp.starttls(context=ssl.create_default_context())
    smtp.login(os.environ['SMTP_USER'], os.environ['SMTP_PASS'])
    smtp.sendmail('${from}', '${to}', 'Subject: From Python\\r\\n\\r\\nHello')`
    const python = spawn('python3', ['-c', program], { env, stdio: 'inherit' })
    const [code] = await once(python, 'exit')
    assert.equal(code, 0)
    assert.equal((await smtp.inbox.next()).subject, 'From Python')
  },
}
