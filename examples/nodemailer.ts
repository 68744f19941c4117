/**
 * The five lines of the README, and what their caller does with the two ways in which they end: a
 * message that was delivered, and one that was refused, because carol.example asks for more than
 * the host that answers for it can prove.
 *
 *     npx tsx examples/nodemailer.ts
 */
import assert from 'node:assert/strict'
import { DeliveryRefusedError } from 'mta-sts'
import { mtaStsTransport } from 'mta-sts/nodemailer'
import { createMailWorld } from 'mta-sts/testing'
import nodemailer from 'nodemailer'

// In a program of your own the world is the Internet, and these three lines are not there
await using world = await createMailWorld()
const bob = world.domain('bob.example', { mode: 'enforce' })
const carol = world.domain('carol.example', { mode: 'enforce' })
carol.mx().fails('wrong-name')

// In a program of your own: mtaStsTransport({ name: 'mail.sender.example' })
const transporter = nodemailer.createTransport(mtaStsTransport(world.options()))

/** Who is to be written to again. A program that may be ended keeps them in a queue: queue.ts */
const later: string[] = []

async function send(to: string): Promise<void> {
  try {
    const message = { from: 'me@sender.example', to, subject: 'Hi', text: 'Hello!' }
    const { deliveries } = await transporter.sendMail(message)
    for (const { mxHost, proved } of deliveries) {
      console.log(
        `${to}: ${mxHost} has it, ${proved === 'sts' ? 'and proved its name' : 'unproved'}`,
      )
    }
  } catch (error) {
    // Of any other error, `permanent` tells whether it is of use to try again: queue.ts
    if (!(error instanceof DeliveryRefusedError)) throw error
    // A refusal is temporary, and nothing of the message was said to anybody
    for (const { mxHost, resultType } of error.failures) {
      console.log(`${to}: refused, ${mxHost}: ${resultType}; kept for later`)
    }
    later.push(to)
  }
}

await send('you@bob.example')
await send('you@carol.example')
assert.deepEqual(later, ['you@carol.example'])
assert.equal(carol.mx().connections[0]?.mailFrom, undefined)

// The host's owner puts it right, and what was kept goes out
carol.mx().works()
for (const to of later.splice(0)) await send(to)

transporter.close()
assert.deepEqual([bob.inbox.length, carol.inbox.length, later.length], [1, 1, 0])
console.log('Both arrived')
