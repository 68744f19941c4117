/**
 * A DNSSEC resolver with the answers of a test, which records its questions.
 *
 * @module
 */
import type { DnssecResolver, RecordData, SecureAnswer } from '../../src/dane/secure-answer.js'
import { recordsOrThrow } from '../../src/dane/shared-queries.js'
import type { TlsaRecord } from '../../src/tls/security.js'

type Type = keyof RecordData

/** `secure` or `insecure`, found or absent; or a lookup that failed. */
export type Entry =
  | { secure: boolean; records: unknown[]; name?: string; nxdomain?: boolean }
  | { code: string; bogus?: boolean }
  | 'never'

export interface FakeResolver extends DnssecResolver {
  /** Each question as `TYPE name` */
  asked: string[]
}

/** @param entries by `TYPE name`; all others are a secure NXDOMAIN */
export function fakeResolver(entries: Record<string, Entry>, validates = true): FakeResolver {
  const asked: string[] = []
  const query = async <T extends Type>(
    name: string,
    type: T,
  ): Promise<SecureAnswer<RecordData[T]>> => {
    const question = `${type} ${name}`
    asked.push(question)
    const entry = entries[question] ?? { secure: true, records: [], nxdomain: true }
    if (entry === 'never') return new Promise(() => undefined)
    if ('code' in entry) {
      const error = Object.assign(new Error(`query ${entry.code}`), { code: entry.code })
      return { kind: 'failed', error, bogus: entry.bogus ?? false }
    }
    const { secure, nxdomain = false } = entry
    const common = { secure, name: entry.name ?? name }
    if (entry.records.length === 0) return { kind: 'absent', nxdomain, ...common }
    return { kind: 'found', records: entry.records as Array<RecordData[T]>, ...common }
  }
  const records = async <T extends Type>(name: string, type: T) =>
    recordsOrThrow(await query(name, type), { name, type })
  return {
    asked,
    query,
    validates: async () => validates,
    resolveTxt: (name) => records(name, 'TXT'),
    resolveMx: (name) => records(name, 'MX'),
    resolve4: (name) => records(name, 'A'),
    resolve6: (name) => records(name, 'AAAA'),
  }
}

export const secure = (...records: unknown[]): Entry => ({ secure: true, records })
export const insecure = (...records: unknown[]): Entry => ({ secure: false, records })
export const servfail: Entry = { code: 'ESERVFAIL' }
export const bogus: Entry = { code: 'ESERVFAIL', bogus: true }

export const EE: TlsaRecord = {
  usage: 3,
  selector: 1,
  matchingType: 1,
  data: new Uint8Array(32).fill(1),
}
export const PKIX: TlsaRecord = { ...EE, usage: 1 }
