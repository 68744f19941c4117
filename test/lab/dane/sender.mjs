// A sender with DANE, as a user would write it. It runs where only the packed package, Nodemailer
// and dns-packet are installed; reads requests as lines of JSON, and answers each with a line.
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { dane } from 'mta-sts/dane'
import { mtaStsTransport } from 'mta-sts/nodemailer'
import nodemailer from 'nodemailer'

const transport = mtaStsTransport({ name: 'mail.sender.example', dane: dane(), dnsTimeout: 12_000 })
const transporter = nodemailer.createTransport(transport)

async function answer({ message }) {
  try {
    const { deliveries } = await transporter.sendMail(message)
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
