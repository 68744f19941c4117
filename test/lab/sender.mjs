// The sender, as a user would write it. It runs where only the packed package and Nodemailer are
// installed; reads requests as lines of JSON, and answers each with a line.
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { mtaStsTransport, withMtaSts } from 'mta-sts/nodemailer'
import nodemailer from 'nodemailer'

const NAME = 'mail.sender.example'

// If set, the command can read this sender's cache
const { STORE } = process.env
const cached = STORE === undefined ? {} : { store: await openStore(STORE) }

async function openStore(path) {
  const { sqliteStore } = await import('mta-sts/sqlite')
  return sqliteStore(path)
}

const transporter = nodemailer.createTransport(mtaStsTransport({ name: NAME, ...cached }))
const smartHosts = new Map()

function transporterFor(smartHost) {
  if (smartHost === undefined) return transporter
  let known = smartHosts.get(smartHost)
  if (known === undefined) {
    known = nodemailer.createTransport(withMtaSts({ name: NAME, host: smartHost, port: 25 }))
    smartHosts.set(smartHost, known)
  }
  return known
}

async function answer({ smartHost, message }) {
  try {
    const { deliveries } = await transporterFor(smartHost).sendMail(message)
    return { deliveries: deliveries.map(plain) }
  } catch (error) {
    const { message: text, code, permanent, responseCode, deliveries = [] } = error
    return { error: { text, code, permanent, responseCode }, deliveries: deliveries.map(plain) }
  }
}

/** The parts of a delivery that JSON can represent. */
function plain({ error: _, failures, ...delivery }) {
  const shown = failures.map(({ resultType, reason, mxHost }) => ({ resultType, reason, mxHost }))
  return { ...delivery, failures: shown }
}

const requests = createInterface({ input: process.stdin })
requests.on('line', async (line) => {
  const request = JSON.parse(line)
  process.stdout.write(`${JSON.stringify({ id: request.id, ...(await answer(request)) })}\n`)
})
await once(requests, 'close')
transporter.close()
for (const smartHost of smartHosts.values()) smartHost.close()
