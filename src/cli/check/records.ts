/**
 * The two TXT records: what the DNS answered, judged by the core's parsers.
 *
 * @module
 */
import type { Answer } from '../../dns/resolver.js'
import { selectRecords } from '../../dns/txt-record.js'
import { RecordSyntaxError } from '../../errors.js'
import { recordName, tlsRptName } from '../../policy/names.js'
import { examineRecords } from '../../policy/record.js'
import { parseTlsRptRecord } from '../../tlsrpt/record.js'
import type { RecordCheck, RecordStatus, TlsRptCheck } from './findings.js'
import { causeOf } from './problem.js'

type TxtAnswer = Answer<string[]>

/** RFC 8461 §3.1. */
export function checkRecord(domain: string, answer: TxtAnswer): RecordCheck {
  const common = {
    name: recordName(domain),
    texts: textsOf(answer),
    id: null,
    resultType: null,
    reason: null,
  }
  if (answer.kind === 'failed') {
    const fault = { resultType: 'sts-policy-fetch-error', reason: 'dns-failure' } as const
    return { ...common, ...fault, ...unknown(answer.error) }
  }
  const finding = examineRecords(answer.kind === 'found' ? answer.records : [])
  switch (finding.kind) {
    case 'one':
      return { ...common, status: 'found', id: finding.record.id, problem: null }
    case 'none':
      return { ...common, ...none(common.texts, 'STSv1') }
    case 'several':
      return { ...common, ...INVALID, reason: 'several-records', ...several(finding.count) }
    case 'malformed':
      return {
        ...common,
        ...INVALID,
        reason: 'malformed-record',
        status: 'malformed',
        problem: finding.error.message,
      }
  }
}

/** RFC 8460 §3. */
export function checkTlsRpt(domain: string, answer: TxtAnswer): TlsRptCheck {
  const common = { name: tlsRptName(domain), texts: textsOf(answer), rua: [] }
  if (answer.kind === 'failed') return { ...common, ...unknown(answer.error) }
  const records = selectRecords(answer.kind === 'found' ? answer.records : [], 'TLSRPTv1')
  const [record] = records
  if (record === undefined) return { ...common, ...none(common.texts, 'TLSRPTv1') }
  if (records.length > 1) return { ...common, ...several(records.length) }
  try {
    const { rua } = parseTlsRptRecord(record)
    return { ...common, status: 'found', rua: [...rua], problem: null }
  } catch (error) {
    if (!(error instanceof RecordSyntaxError)) throw error
    return { ...common, status: 'malformed', problem: error.message }
  }
}

/** The failure that senders report for a record that they cannot use (RFC 8460 §4.3.2.2) */
const INVALID = { resultType: 'sts-policy-invalid' } as const

interface Failing {
  status: Exclude<RecordStatus, 'found'>
  problem: string
}

function unknown(error: Error): Failing {
  return { status: 'unknown', problem: `it could not be looked up: ${causeOf(error)}` }
}

function several(count: number): Failing {
  return { status: 'several', problem: `there are ${count}, and one is allowed` }
}

function none(texts: readonly string[], version: string): Failing {
  const others = texts.length > 0 ? ` that begins with "v=${version};"` : ''
  return { status: 'none', problem: `there is none${others}` }
}

function textsOf(answer: TxtAnswer): string[] {
  return answer.kind === 'found' ? answer.records.map((strings) => strings.join('')) : []
}
