/**
 * A contact form: an Express application that hands what visitors write to the site's owner, by
 * `mtaStsTransport`. And a few visitors: their messages arrive, or they are told to come again when
 * the owner's MX host cannot prove who it is, and learn nothing else of it.
 *
 *     npx tsx examples/express.ts
 *
 * An application that may keep what its visitors write puts it in a queue and says 202: queue.ts
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express, { type ErrorRequestHandler, type Express } from 'express'
import { mtaStsTransport, type SentInfo } from 'mta-sts/nodemailer'
import { createMailWorld } from 'mta-sts/testing'
import nodemailer, { type NodemailerError, type Transporter } from 'nodemailer'

const OWNER = 'owner@shop.example'
const FORM = 'contact-form@web.shop.example'

interface Form {
  name: string
  email: string
  text: string
}

/** What a visitor has filled in; undefined when that is not a message that can be answered. */
function readForm(body: unknown): Form | undefined {
  if (typeof body !== 'object' || body === null) return undefined
  const { name, email, text } = body as Record<string, unknown>
  if (typeof name !== 'string' || name.length > 100) return undefined
  // One address, and no list of them: the owner's answer goes there
  if (typeof email !== 'string' || email.length > 254) return undefined
  if (!/^[^\s<>()[\],;:"@]+@[^\s<>()[\],;:"@]+$/.test(email)) return undefined
  if (typeof text !== 'string' || text.trim() === '') return undefined
  return { name, email, text }
}

function contactForm(transporter: Transporter<SentInfo>): Express {
  const app = express()
  app.disable('x-powered-by')
  app.use(express.json({ limit: '20kb' }))

  app.post('/contact', async (request, response) => {
    const form = readForm(request.body)
    if (form === undefined) {
      response.status(400).json({ error: 'A name, an e-mail address and a text, please' })
      return
    }
    // Sender and recipient are ours alone: a form that writes to whom a visitor names is a gift to
    // spammers, and one that writes in a visitor's name forges. Line breaks in what a visitor wrote
    // do no harm: Nodemailer makes spaces of them in all headers, so a name cannot end with a
    // "Bcc:" of its own. Headers that a program puts together by hand have no such help
    const message = {
      from: FORM,
      to: OWNER,
      replyTo: { name: form.name, address: form.email },
      subject: `Contact form: ${form.name}`,
      text: form.text,
    }
    try {
      await transporter.sendMail(message)
      response.status(202).json({ status: 'delivered' })
    } catch (error) {
      if (!(error instanceof Error)) throw error
      // Which host, which certificate, which reply: the site's log may know, the visitor need not
      console.log(`  log: ${error.message}`)
      const { permanent }: NodemailerError = error
      if (permanent) {
        response.status(500).json({ error: 'Your message cannot be delivered' })
        return
      }
      // A refusal (EMTASTS), or something else that may soon be over
      response.status(503).set('Retry-After', '300')
      response.json({ error: 'Your message cannot be delivered now. Please try again later' })
    }
  })

  // In place of Express' own, which shows visitors the stack
  const failed: ErrorRequestHandler = (error: { status?: number }, _request, response, next) => {
    if (response.headersSent) return next(error)
    // 400, or 413: a body that is no JSON, or too much of it
    const { status = 500 } = error
    if (status >= 500) console.error(error)
    response.status(status).json({ error: status < 500 ? 'That is no message' : 'Sorry' })
  }
  app.use(failed)
  return app
}

/** A visitor: sends a form, and shows what comes back. */
async function visit(url: string, form: unknown): Promise<string> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof form === 'string' ? form : JSON.stringify(form),
  })
  const retryAfter = response.headers.get('retry-after')
  const when = retryAfter ? ` (Retry-After: ${retryAfter})` : ''
  const answer = `${response.status}${when} ${await response.text()}`
  console.log(answer)
  return answer
}

async function main(): Promise<void> {
  await using world = await createMailWorld()
  const shop = world.domain('shop.example', { mode: 'enforce' })
  // A visitor is waiting: an MX host that does not answer is given up sooner than it need be
  const options = { ...world.options(), connectionTimeout: 10_000, greetingTimeout: 10_000 }
  const transporter = nodemailer.createTransport(mtaStsTransport(options))
  const server = contactForm(transporter).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}/contact`

  const form = { name: 'Vera', email: 'vera@visitor.example', text: 'Are you open on Sunday?' }
  assert.match(await visit(url, form), /^202 /)
  assert.match(
    await visit(url, { ...form, email: 'vera@visitor.example, all@else.example' }),
    /^400 /,
  )
  assert.match(await visit(url, '{"name":'), /^400 /)

  assert.match(await visit(url, { ...form, name: 'Eve\r\nBcc: all@else.example' }), /^202 /)
  const [, eves] = shop.inbox
  const subject = eves?.raw.split('\r\n').filter((line) => /^(Subject|Bcc):/.test(line))
  console.log(`  ${subject?.join(' | ')}, for ${eves?.envelope.to.join()}`)
  assert.deepEqual(subject, ['Subject: Contact form: Eve Bcc: all@else.example'])
  assert.deepEqual(eves?.envelope.to, [OWNER])

  // Somebody answers in the place of the shop's MX host
  shop.mx().fails('self-signed')
  const refused = await visit(url, form)
  assert.match(refused, /^503 \(Retry-After: 300\) /)
  assert.doesNotMatch(refused, /mx\.|certificate|sts/i)
  shop.mx().fails({ at: 'rcpt', reply: '550 5.1.1 No such user' })
  assert.match(await visit(url, form), /^500 /)

  // On SIGTERM, in a program of your own: first the requests that are under way come to their end,
  // then the mail. What is idle is closed at once
  server.close()
  await once(server, 'close')
  transporter.close()
  assert.equal(shop.inbox.length, 2)
  console.log(`${shop.inbox.length} messages for ${OWNER}`)
}

await main()
