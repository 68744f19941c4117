/**
 * The effect of an error on a message in Haraka's queue.
 *
 * @module
 */
import type { HarakaDsn } from './host.js'

/** Whether the domain name is invalid, has a null MX record or does not exist. */
export function isPermanent(error: Error): boolean {
  const { code, permanent } = error as { code?: unknown; permanent?: unknown }
  return permanent === true || code === 'EDOMAIN'
}

/** Enhanced status codes (RFC 3463, RFC 7505) by the code of an error. */
const STATUS: Readonly<Record<string, readonly [subject: number, detail: number]>> = {
  EMTASTS: [7, 5],
  EDNS: [4, 3],
  ENULLMX: [1, 10],
  EDOMAIN: [1, 2],
}

/** Returns the status for Haraka's bounces and delay notices. */
export function dsnOf(error: Error, text: string): HarakaDsn {
  const { code } = error as { code?: unknown }
  const [sub, det] = STATUS[String(code)] ?? [4, 1]
  const isFinal = isPermanent(error)
  return { code: isFinal ? 550 : 450, msg: text, cls: isFinal ? 5 : 4, sub, det }
}
