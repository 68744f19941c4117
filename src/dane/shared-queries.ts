/**
 * Questions shared by concurrent deliveries: a question under way is not asked again.
 *
 * @module
 */
import { isMxRecord } from '../dns/shared-lookups.js'
import { DnsError } from './dns-error.js'
import type { DnssecResolver, RecordData, SecureAnswer } from './secure-answer.js'

/** Asks one question, for at most `timeout` milliseconds. Never rejects. */
export type AskSecure = <T extends keyof RecordData>(
  name: string,
  type: T,
  timeout: number,
) => Promise<SecureAnswer<RecordData[T]>>

export function sharedQueries(resolver: DnssecResolver): AskSecure {
  const underWay: { [T in keyof RecordData]: UnderWay<T> } = {
    A: new Map(),
    AAAA: new Map(),
    CNAME: new Map(),
    MX: new Map(),
    TLSA: new Map(),
    TXT: new Map(),
  }
  const share = <T extends keyof RecordData>(name: string, type: T) => {
    const flights: UnderWay<T> = underWay[type]
    const known = flights.get(name)
    if (known) return known
    const asked = asking(resolver, name, type).finally(() => {
      if (flights.get(name) === asked) flights.delete(name)
    })
    flights.set(name, asked)
    return asked
  }
  return async (name, type, timeout) => {
    const asked = share(name, type)
    const answer = await within(asked, { name, type, timeout })
    // A question without an answer is not shared again
    if (answer.kind === 'failed' && underWay[type].get(name) === asked) underWay[type].delete(name)
    return answer
  }
}

type UnderWay<T extends keyof RecordData> = Map<string, Promise<SecureAnswer<RecordData[T]>>>

/** Asks a resolver of the caller's own, which may throw or answer anything in spite of its interface. */
async function asking<T extends keyof RecordData>(
  resolver: DnssecResolver,
  name: string,
  type: T,
): Promise<SecureAnswer<RecordData[T]>> {
  try {
    const answer = await resolver.query(name, type)
    if (isAnswer(answer, type)) return answer
    throw new TypeError('The resolver returned something else')
  } catch (cause) {
    return {
      kind: 'failed',
      error: new DnsError('EBADRESP', { name, type }, { cause }),
      bogus: false,
    }
  }
}

function isAnswer(answer: unknown, type: keyof RecordData): boolean {
  const { kind, error, secure, name, records } = Object(answer)
  if (kind === 'failed') return error instanceof Error
  if (typeof secure !== 'boolean' || typeof name !== 'string') return false
  if (kind === 'absent') return true
  if (kind !== 'found' || !Array.isArray(records) || records.length === 0) return false
  return [...records].every(IS_RECORD[type] ?? isText)
}

const isText = (record: unknown) => typeof record === 'string'

const IS_RECORD: { [T in keyof RecordData]?: (record: unknown) => boolean } = {
  MX: isMxRecord,
  TLSA: (record) => Object(record).data instanceof Uint8Array,
  TXT: Array.isArray,
}

function within<T>(
  answer: Promise<SecureAnswer<T>>,
  { timeout, ...query }: { name: string; type: string; timeout: number },
): Promise<SecureAnswer<T>> {
  return new Promise((resolve) => {
    const late = () => {
      const error = new DnsError('ETIMEOUT', query, { note: `no answer within ${timeout} ms` })
      resolve({ kind: 'failed', error, bogus: false })
    }
    const timer = setTimeout(late, timeout)
    answer.then(resolve).finally(() => clearTimeout(timer))
  })
}

/** Returns the records; without any, throws an error as in `node:dns`: ENOTFOUND or ENODATA. */
export function recordsOrThrow<T>(
  answer: SecureAnswer<T>,
  query: { name: string; type: string },
): T[] {
  if (answer.kind === 'found') return answer.records
  if (answer.kind === 'failed') throw answer.error
  throw new DnsError(answer.nxdomain ? 'ENOTFOUND' : 'ENODATA', query)
}
