/**
 * Reads the parts of a mail with the package `postal-mime`, an optional peer.
 *
 * `postal-mime` is asynchronous and reading a report is not, so it runs in a separate thread, for
 * which the caller waits. The thread starts with the first mail, which takes some 40 ms, and does
 * not keep the process alive.
 *
 * @module
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { missingPackage } from '../errors.js'
import { requireInstalled } from '../installed.js'
import { escapeRemoteText } from '../text.js'
import { ReportSyntaxError } from './read-error.js'

/** The content of a mail. Its sender chose names and types. */
export interface ParsedMail {
  subject: string
  /** The header field TLS-Report-Domain (RFC 8460 §5.3); empty where it is missing */
  reportDomain: string
  /** Content-Type of the mail, with its parameters */
  contentType: string
  /** The text parts, joined */
  text: string
  /** All other parts, mails inside the mail included */
  parts: readonly MailPart[]
}

export interface MailPart {
  /** Lower case, without parameters */
  type: string
  /** Decoded; empty if the part has no file name */
  fileName: string
  content: Uint8Array
}

/** Maximum nesting of multiparts. */
const MAX_NESTING = 20

/** Bound of all headers, in bytes, over all parts. */
const MAX_HEADERS = 256 * 1024

/**
 * Bounds of a mail. `postal-mime` 4.0 needs some 2 KiB for each line, and for each equals sign in
 * Base64: a mail of 16 MiB can make it take gigabytes. A report of 16 MiB under gzip has 25,000
 * lines.
 */
const LIMITS = {
  bytes: 8 * 1024 * 1024,
  lines: 30_000,
  'equals signs': 20_000,
  // Each part has buffers of its own
  'lines that begin with two hyphens': 1000,
}

type Counts = Record<keyof typeof LIMITS, number>

/** The shared remaining bounds of all mails of one file. */
export type MailBudget = Counts

const MAILS = 3

export function mailBudget(): MailBudget {
  const [bytes, lines] = [MAILS * LIMITS.bytes, MAILS * LIMITS.lines]
  return {
    bytes,
    lines,
    'equals signs': MAILS * LIMITS['equals signs'],
    // Mails of one or two parts are the most frequent
    'lines that begin with two hyphens': lines,
  }
}

/** Time limit, in milliseconds: longer than the slowest allowed mail on a busy machine. */
const TIMEOUT = 30_000

/** Throws ReportSyntaxError, or MtaStsError of code EPEER if `postal-mime` is not installed. */
export function parseMail(mail: Buffer, budget: MailBudget = mailBudget()): ParsedMail {
  spend(budget, mail)
  const answer = THREAD.ask(mail)
  if ('error' in answer) {
    throw new ReportSyntaxError(`its MIME cannot be read: ${escapeRemoteText(answer.error)}`)
  }
  return answer
}

function spend(budget: MailBudget, mail: Buffer): void {
  for (const [what, count] of Object.entries(countsOf(mail)) as [keyof Counts, number][]) {
    const limit = Math.min(LIMITS[what], budget[what])
    if (count > limit) {
      throw new ReportSyntaxError(`the mail has ${count} ${what}, and ${limit} is the limit`, {
        // Most mails of this size contain pictures
        looksLikeReport: /tlsrpt|tls-report/i.test(mail.toString('latin1', 0, MAX_HEADERS)),
      })
    }
    budget[what] -= count
  }
}

function countsOf(mail: Buffer): Counts {
  let [lines, equals, delimiters] = [0, 0, 0]
  for (let at = 0; at < mail.length; at++) {
    const byte = mail[at]
    if (byte === 0x0a) {
      lines++
      if (mail[at + 1] === 0x2d && mail[at + 2] === 0x2d) delimiters++
    } else if (byte === 0x3d) equals++
  }
  return {
    bytes: mail.length,
    lines,
    'equals signs': equals,
    'lines that begin with two hyphens': delimiters,
  }
}

type Answer = ParsedMail | { error: string }

/**
 * The program of the thread, as text: bundlers would not find a separate file. A mail inside the
 * mail is not read here, but returned.
 */
const PROGRAM = `
const { workerData } = require('node:worker_threads')
const { port, signal, path, limits } = workerData
const flag = new Int32Array(signal)

async function read(bytes) {
  const loaded = require(path)
  const PostalMime = loaded.default ?? loaded
  const mail = await PostalMime.parse(bytes, limits)
  const field = (name) => mail.headers.find(({ key }) => key === name)?.value ?? ''
  return {
    subject: mail.subject ?? '',
    reportDomain: field('tls-report-domain'),
    contentType: field('content-type'),
    text: mail.text ?? '',
    parts: mail.attachments.map(({ mimeType, filename, content }) => ({
      type: mimeType.toLowerCase(),
      fileName: filename ?? '',
      content: new Uint8Array(content),
    })),
  }
}

port.on('message', async (bytes) => {
  const answer = await read(bytes).catch((error) => ({ error: String(error?.message ?? error) }))
  port.postMessage(answer, (answer.parts ?? []).map(({ content }) => content.buffer))
  Atomics.store(flag, 0, 1)
  Atomics.notify(flag, 0)
})
`

class MailThread {
  #running: { worker: Worker; port: MessagePort; flag: Int32Array } | undefined

  ask(mail: Buffer): Answer {
    this.#running ??= this.#start()
    const { worker, port, flag } = this.#running
    Atomics.store(flag, 0, 0)
    const copy = new Uint8Array(mail)
    port.postMessage(copy, [copy.buffer])
    // The notification for the previous mail may come late and wake this wait too early
    while (Atomics.load(flag, 0) === 0) {
      if (Atomics.wait(flag, 0, 0, TIMEOUT) !== 'timed-out') continue
      this.#running = undefined
      void worker.terminate()
      return { error: `it took more than ${TIMEOUT} ms` }
    }
    return receiveMessageOnPort(port)?.message
  }

  #start() {
    const running = start()
    // A mail for which the memory does not suffice ends the thread, and nothing else
    running.worker
      .on('error', () => undefined)
      .on('exit', () => {
        if (this.#running === running) this.#running = undefined
      })
    return running
  }
}

/**
 * One thread for each process: one for each mail would be slow. `node:module` has one cache, too.
 */
const THREAD = new MailThread()

function start() {
  const { port1, port2 } = new MessageChannel()
  const signal = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
  const limits = {
    maxNestingDepth: MAX_NESTING,
    maxHeadersSize: MAX_HEADERS,
    forceRfc822Attachments: true,
  }
  const worker = new Worker(PROGRAM, {
    eval: true,
    workerData: { port: port2, signal, path: pathOfPostalMime(), limits },
    transferList: [port2],
    // Loaders and environment of the program are not needed
    execArgv: [],
    env: {},
    // Collects garbage often: a folder of mails leaves much behind
    resourceLimits: { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 256 },
  })
  worker.unref()
  port1.unref()
  return { worker, port: port1, flag: new Int32Array(signal) }
}

/** The package that mails need. */
export const MAIL_PACKAGE = 'postal-mime'

function pathOfPostalMime(): string {
  try {
    return requireInstalled().resolve(MAIL_PACKAGE)
  } catch (cause) {
    throw missingPackage('Reading reports from mails', MAIL_PACKAGE, cause)
  }
}
