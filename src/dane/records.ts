/**
 * The records of an answer at the end of its CNAME chain, in this package's shapes.
 *
 * @module
 */
import type { Answer } from 'dns-packet'
import type { RecordData } from './secure-answer.js'
import { plainName, type Query } from './wire.js'

/** Maximum length of a CNAME chain; a longer one is a fault, or a loop. */
const MAX_ALIASES = 16

/** Returns the end of the CNAME chain from a name; undefined if it has no end. */
export function expandedName(
  { name, type }: Query,
  answers: readonly Answer[],
): string | undefined {
  let current = name
  if (type === 'CNAME') return current
  for (let hop = 0; hop < MAX_ALIASES; hop++) {
    const alias = answers.find((record) => record.type === 'CNAME' && isOf(record, current))
    if (alias?.type !== 'CNAME') return current
    current = plainName(alias.data)
  }
  return undefined
}

export function recordsOf<T extends keyof RecordData>(
  { name, type }: { name: string; type: T },
  answers: readonly Answer[],
): Array<RecordData[T]> {
  const read = READERS[type]
  return answers
    .filter((record) => isOf(record, name))
    .map(read)
    .filter((data) => data !== undefined)
}

function isOf(record: Answer, name: string): boolean {
  return 'class' in record && record.class === 'IN' && plainName(record.name) === name
}

/** One reader for each type; undefined: another type, or an unreadable record. */
const READERS: { [T in keyof RecordData]: (record: Answer) => RecordData[T] | undefined } = {
  A: (record) => (record.type === 'A' ? record.data : undefined),
  AAAA: (record) => (record.type === 'AAAA' ? record.data : undefined),
  CNAME: (record) => (record.type === 'CNAME' ? plainName(record.data) : undefined),
  MX: (record) => {
    if (record.type !== 'MX') return undefined
    const { exchange, preference = 0 } = record.data
    return { exchange: plainName(exchange), priority: preference }
  },
  TLSA: (record) => {
    if (record.type !== 'TLSA') return undefined
    const { usage, selector, matchingType, certificate } = record.data
    // A copy: the data is a part of a whole DNS message
    return { usage, selector, matchingType, data: Uint8Array.from(certificate) }
  },
  TXT: (record) => {
    if (record.type !== 'TXT') return undefined
    const strings = Array.isArray(record.data) ? record.data : [record.data]
    // One character for each byte, as node:dns does
    return strings.map((text) => (typeof text === 'string' ? text : text.toString('latin1')))
  },
}
