/**
 * A queue of mail, with BullMQ and Redis. What is refused, or fails for now, goes back to the queue
 * and is tried again later. What a receiver does not want has failed after one attempt. Who has a
 * message does not get it again when the rest of its recipients are tried. The policies are in the
 * same Redis, where every worker finds them.
 *
 *     npx tsx examples/queue.ts
 *
 * It starts a redis-server of its own and ends it; with REDIS_URL it uses that one, and takes away
 * what it wrote there. In a program of your own, Redis must keep what it is given: turn on its
 * append-only file, and leave `maxmemory-policy` at `noeviction`.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type Job, Queue, UnrecoverableError, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import { type MtaStsTransportOptions, mtaStsTransport, type SentInfo } from 'mta-sts/nodemailer'
import { redisStore } from 'mta-sts/redis'
import { createMailWorld } from 'mta-sts/testing'
import nodemailer, { type NodemailerError, type Transporter } from 'nodemailer'
import { openRedis } from './support/redis.js'

/** A job: a message, and who has yet to get it. */
interface Mail {
  message: { from: string; to: string[]; subject: string; text: string; messageId: string }
  waiting: string[]
  /** Who will not get it, and why: what the author of the message has to be told */
  bounced: Array<{ recipient: string; why: string }>
}

/**
 * A refusal lasts until people have noticed it and mended a host. Out in the world: 11 attempts and
 * a delay of 7 minutes, which go on for five days (RFC 5321 §4.5.4.1 asks for four or more).
 */
const RETRIES = { attempts: 5, backoff: { type: 'exponential', delay: 200 } }

/** For ever: the receiver has said so, or it is no address. A refusal never is. */
function isFinal({ permanent }: NodemailerError): boolean {
  return permanent === true
}

/** Sends to those who wait, and tells who of them has not got it, and why. */
async function send(
  transporter: Transporter<SentInfo>,
  { message, waiting }: Mail,
): Promise<NodemailerError[]> {
  // Everybody has got it, from an attempt that died before it could say so
  if (waiting.length === 0) return []
  // The header names everybody, and the envelope those who get it this time
  const envelope = { from: message.from, to: waiting }
  try {
    const { rejectedErrors = [] } = await transporter.sendMail({ ...message, envelope })
    return rejectedErrors
  } catch (error) {
    if (!(error instanceof Error)) throw error
    // Nobody has got it. The error is that of the first domain; every recipient has one as well
    const { rejectedErrors }: NodemailerError = error
    if (rejectedErrors) return rejectedErrors
    throw isFinal(error) ? new UnrecoverableError(error.message) : error
  }
}

/** One attempt. BullMQ answers what it throws with another attempt, or with the end of the job. */
async function attempt(job: Job<Mail>, transporter: Transporter<SentInfo>): Promise<void> {
  const errors = await send(transporter, job.data)
  const temporary = errors.filter((error) => !isFinal(error))
  const bounced = [...job.data.bounced]
  for (const error of errors.filter(isFinal)) {
    bounced.push({ recipient: error.recipient ?? '', why: error.message })
  }
  // Before all else: nobody who has the message gets it from a later attempt. (When the process or
  // Redis dies on this very line they do, as from any mail server; the Message-ID tells them.)
  const waiting = temporary.map(({ recipient }) => recipient ?? '')
  await job.updateData({ ...job.data, waiting, bounced })

  const [again] = temporary
  if (again) throw again
  const [never] = bounced
  if (never) throw new UnrecoverableError(`${never.recipient}: ${never.why}`)
}

/** What a process that sends mail consists of. Any number of them may share the work. */
function startWorker(redis: Redis, prefix: string, options: MtaStsTransportOptions) {
  const store = redisStore(redis, { prefix })
  const transporter = nodemailer.createTransport(mtaStsTransport({ ...options, store }))
  // Side by side: an MX host that is slow must not hold up the mail to others
  const how = { connection: redis, prefix, concurrency: 20 }
  const worker = new Worker<Mail>('mail', (job) => attempt(job, transporter), how)
  worker.on('error', console.error)
  worker.on('completed', ({ name, attemptsMade }) => {
    console.log(`${name}, attempt ${attemptsMade}: delivered`)
  })
  worker.on('failed', (job, error) => {
    if (job === undefined) return
    console.log(`${job.name}, attempt ${job.attemptsMade}: ${error.message}`)
    // In a program of your own: where it has failed, tell the author. Nobody else will
    if (job.finishedOn) console.log('  failed')
    else console.log(`  in the queue again for ${job.data.waiting.join(', ')}`)
  })
  const close = async () => {
    // What is under way comes to its end
    await worker.close()
    transporter.close()
  }
  return { worker, close, [Symbol.asyncDispose]: close }
}

function startQueue(redis: Redis, prefix: string) {
  const how = { connection: redis, prefix, defaultJobOptions: RETRIES }
  const queue = new Queue<Mail>('mail', how)
  queue.on('error', console.error)
  return { queue, [Symbol.asyncDispose]: () => queue.close() }
}

/** How the worker's next attempt ends. To be asked before it can. */
function nextAttempt(worker: Worker<Mail>): Promise<'delivered' | 'queued again' | 'failed'> {
  return new Promise((resolve) => {
    worker.once('completed', () => resolve('delivered'))
    worker.once('failed', (job) => resolve(job?.finishedOn ? 'failed' : 'queued again'))
  })
}

async function main(): Promise<void> {
  const prefix = `mta-sts-example-${randomUUID()}:`
  await using redis = await openRedis(prefix)
  await using world = await createMailWorld()
  await using mailQueue = startQueue(redis.client, prefix)
  const { queue } = mailQueue
  const add = (name: string, to: string[]) => {
    const messageId = `<${randomUUID()}@shop.example>`
    const message = { from: 'me@shop.example', to, subject: 'Hi', text: 'Hello!', messageId }
    return queue.add(name, { message, waiting: to, bounced: [] })
  }

  console.log('The certificate of the MX host of bob.example has expired.')
  const bob = world.domain('bob.example', { mode: 'enforce' })
  bob.mx().fails('expired')
  await using first = startWorker(redis.client, prefix, world.options())
  let next = nextAttempt(first.worker)
  await add('to Bob', ['bob@bob.example'])
  assert.equal(await next, 'queued again')

  console.log('That worker ends. Another goes on, and somebody hides the policy from it.')
  await first.close()
  bob.dns.fails('nxdomain')
  bob.policyHost.fails('down')
  await using second = startWorker(redis.client, prefix, world.options())
  assert.equal(await nextAttempt(second.worker), 'queued again')
  // Twice somebody answered for bob.example, and has not heard who writes
  const heard = bob.mx().connections.map(({ mailFrom }) => mailFrom)
  assert.deepEqual(heard, [undefined, undefined])

  console.log('The certificate is renewed.')
  bob.mx().works()
  assert.equal(await nextAttempt(second.worker), 'delivered')
  assert.equal(bob.inbox.length, 1)

  console.log("A message for two: Carol's MX host shows a certificate for another name.")
  const ann = world.domain('ann.example', { mode: 'enforce' })
  const carol = world.domain('carol.example', { mode: 'enforce' })
  carol.mx().fails('wrong-name')
  next = nextAttempt(second.worker)
  await add('to Ann and Carol', ['ann@ann.example', 'carol@carol.example'])
  assert.equal(await next, 'queued again')
  assert.deepEqual([ann.inbox.length, carol.inbox.length], [1, 0])
  carol.mx().works()
  assert.equal(await nextAttempt(second.worker), 'delivered')
  assert.deepEqual([ann.inbox.length, carol.inbox.length], [1, 1])

  console.log('A message to somebody whom dave.example does not know.')
  const dave = world.domain('dave.example', { mode: 'enforce' })
  dave.mx().fails({ at: 'rcpt', reply: '550 5.1.1 No such user' })
  next = nextAttempt(second.worker)
  await add('to Dave', ['dave@dave.example'])
  assert.equal(await next, 'failed')

  console.log("One for Dave and Carol: his no is for ever, and her host's certificate is not.")
  carol.mx().fails('wrong-name')
  next = nextAttempt(second.worker)
  await add('to Dave and Carol', ['dave@dave.example', 'carol@carol.example'])
  assert.equal(await next, 'queued again')
  carol.mx().works()
  assert.equal(await nextAttempt(second.worker), 'failed')
  assert.deepEqual([dave.inbox.length, carol.inbox.length], [0, 2])

  const { completed, failed, delayed, waiting, active } = await queue.getJobCounts()
  console.log(`In the end: ${completed} delivered, ${failed} failed`)
  assert.deepEqual([completed, failed, delayed, waiting, active], [2, 2, 0, 0, 0])
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
