/**
 * The message after 354, read and sent in blocks.
 *
 * @module
 */
import type { Readable } from 'node:stream'
import { startTimer } from '../net/deadline.js'
import { textOfThrown } from '../text.js'
import type { SmtpDialogue } from './dialogue.js'
import { connectionError, type SmtpError } from './errors.js'
import type { SmtpStep } from './reply.js'
import { BLOCK, DotStuffing, FINAL_DOT, StuffedMessage } from './stuffing.js'
import type { ReplyTimeouts } from './timeouts.js'

/** Longest wait of a slow stream's bytes for more, in milliseconds. */
const COLLECTING_TIME = 500

/** A message: text and bytes are sent at once, a stream is read block by block. */
export type MessageSource = string | Uint8Array | Readable | StuffedMessage

type BodyTimeouts = Pick<ReplyTimeouts, 'block' | 'message'>

/**
 * Sends a message with its final dot, which only a complete message gets.
 *
 * @param timeouts milliseconds: `block` for the host to accept one, `message` for a stream to go on
 * @returns the bytes that were sent, dots stuffed, without the final dot
 * @throws SmtpError when the connection ended, or the host replied before the end; `ESTREAM` when
 * the stream failed or was closed before its end. The connection is closed in each case
 */
export function sendBody(
  dialogue: SmtpDialogue,
  message: MessageSource,
  timeouts: BodyTimeouts,
): number | Promise<number> {
  if (message instanceof StuffedMessage) return sendStuffed(dialogue, message, timeouts.block)
  const body = new Body(dialogue)
  if (isStream(message)) return sendStream(body, message, timeouts)
  const bytes = typeof message === 'string' ? Buffer.from(message) : message
  if (bytes.length > BLOCK) return sendBlocks(body, bytes, timeouts.block)
  return body.whole(bytes)
}

export function isStream(message: MessageSource): message is Readable {
  return !(
    typeof message === 'string' ||
    message instanceof Uint8Array ||
    message instanceof StuffedMessage
  )
}

function sendStuffed(
  dialogue: SmtpDialogue,
  { blocks, size }: StuffedMessage,
  timeout: number,
): number | Promise<number> {
  const [only] = blocks
  if (blocks.length > 1 || !only) return sendEach(dialogue, blocks, timeout).then(() => size)
  dialogue.writeLast(only, 'message')
  return size
}

async function sendEach(
  dialogue: SmtpDialogue,
  blocks: readonly Uint8Array[],
  timeout: number,
): Promise<void> {
  for (const [index, block] of blocks.entries()) {
    if (index === blocks.length - 1) dialogue.writeLast(block, 'message')
    else if (!dialogue.write(block, 'message')) await dialogue.drained('message', timeout)
  }
}

async function sendBlocks(body: Body, bytes: Uint8Array, timeout: number): Promise<number> {
  for (let start = 0; start < bytes.length; start += BLOCK) {
    if (!body.add(bytes.subarray(start, start + BLOCK))) await body.drained(timeout)
  }
  return body.finish()
}

async function sendStream(
  body: Body,
  stream: Readable,
  { block, message }: BodyTimeouts,
): Promise<number> {
  // Ends the loop when the connection ends during the wait for the stream
  const onEnd = () => stream.destroy()
  body.dialogue.onEnd(onEnd)
  // A stalled stream would keep the connection as long as the host allows
  const late = () => body.fault(`nothing came for ${message} ms`)
  const waiting = () => startTimer(late, message)
  let timer = waiting()
  try {
    for await (const chunk of stream) {
      clearTimeout(timer)
      const taken = body.add(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)
      if (!taken) await body.drained(block)
      timer = waiting()
    }
    return body.finish()
  } catch (error) {
    throw body.fault(error)
  } finally {
    clearTimeout(timer)
    body.dialogue.offEnd(onEnd)
  }
}

class Body {
  readonly dialogue: SmtpDialogue
  readonly #stuffing = new DotStuffing()
  #blocks: Uint8Array[] = []
  #collected = 0
  #timer: NodeJS.Timeout | undefined
  #size = 0

  constructor(dialogue: SmtpDialogue) {
    this.dialogue = dialogue
    dialogue.assertQuiet('message')
  }

  /** Adds a chunk; false: the socket is full, wait for {@link drained}. */
  add(chunk: Uint8Array): boolean {
    this.#collect(this.#stuffing.encode(chunk))
    if (this.#collected >= BLOCK) return this.dialogue.write(this.#block(), 'message')
    this.#timer ??= setTimeout(this.#onTimer, COLLECTING_TIME)
    return true
  }

  whole(bytes: Uint8Array): number {
    this.#collect(this.#stuffing.encode(bytes))
    return this.finish()
  }

  drained(timeout: number): Promise<void> {
    return this.dialogue.drained('message', timeout)
  }

  finish(): number {
    this.#collect(this.#stuffing.endOfLine())
    const size = this.#size
    this.#collect(FINAL_DOT)
    this.dialogue.writeLast(this.#block(), 'message')
    return size
  }

  /** Closes the connection because the message could not be read to its end. */
  fault(cause: unknown): unknown {
    clearTimeout(this.#timer)
    this.dialogue.fail((step) => streamError(step, cause))
    // The connection may have ended first, and the stream because of that
    return this.dialogue.fault('message')
  }

  #collect(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#blocks.push(bytes)
    this.#collected += bytes.length
    this.#size += bytes.length
  }

  #block(): Uint8Array {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const blocks = this.#blocks
    const [only] = blocks
    const block = only && blocks.length === 1 ? only : Buffer.concat(blocks, this.#collected)
    this.#blocks = []
    this.#collected = 0
    return block
  }

  /** Sends the collected bytes: a slow stream must not hold them back. */
  readonly #onTimer = () => {
    if (this.#collected > 0 && !this.dialogue.ended) this.dialogue.socket.write(this.#block())
  }
}

/** Returns the error for a stream that failed, or was closed before its end. */
export function streamError(step: SmtpStep, cause: unknown): SmtpError {
  const message = `The stream of the message failed before its end: ${textOfThrown(cause)}`
  return connectionError(step, message, { code: 'ESTREAM', cause })
}
