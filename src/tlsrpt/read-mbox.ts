/**
 * Mails that follow each other in one file (RFC 4155).
 *
 * @module
 */

/** Whether the bytes begin as an mbox does. */
export function isMbox(data: Buffer): boolean {
  return data.subarray(0, FROM.length).equals(FROM)
}

const FROM = Buffer.from('From ')
const NEXT = Buffer.from('\nFrom ')

/** Returns where the next mail of an mbox begins, or -1. */
export function nextMail(data: Buffer, from: number): number {
  const at = data.indexOf(NEXT, from)
  return at < 0 ? -1 : at + 1
}

/** Yields each mail, without the line that begins with `From `. */
export function* mailsOf(mbox: Buffer): Generator<Buffer> {
  for (let start = 0; start >= 0; ) {
    const next = nextMail(mbox, start)
    yield withoutFromLine(mbox.subarray(start, next < 0 ? mbox.length : next))
    start = next
  }
}

export function withoutFromLine(mail: Buffer): Buffer {
  return mail.subarray(mail.indexOf(0x0a) + 1)
}
