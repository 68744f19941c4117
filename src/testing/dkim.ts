/**
 * DKIM signatures, verified by `mailauth` with the keys in the DNS of a world.
 *
 * @module
 */
import { missingPackage } from '../errors.js'
import type { Zone } from './zone.js'

/** Result of a DKIM signature. */
export interface DkimResult {
  /** The domain that signed: the tag `d` */
  domain: string
  /** The selector of the key: the tag `s` */
  selector: string
  /** `pass`, `fail`, `neutral`, `permerror` and so on (RFC 8601 §2.7.1) */
  result: string
  /** Description of the fault, if there is one */
  comment: string | undefined
}

export async function verifyDkim(bytes: Buffer, zone: Zone): Promise<DkimResult[]> {
  const { dkimVerify } = await mailauth()
  const resolver = async (name: string, type: string) => resolved(zone, name, type)
  const { results } = await dkimVerify(bytes, { resolver })
  return results
    .filter(({ signingDomain }) => signingDomain)
    .map(({ signingDomain, selector, status }) => ({
      domain: signingDomain ?? '',
      selector: selector ?? '',
      result: status.result,
      comment: status.comment || undefined,
    }))
}

/** The part of `mailauth` that is used. */
interface Mailauth {
  dkimVerify(
    bytes: Buffer,
    options: { resolver: (name: string, type: string) => Promise<string[][]> },
  ): Promise<{
    results: Array<{
      signingDomain?: string
      selector?: string
      status: { result: string; comment?: string }
    }>
  }>
}

async function mailauth(): Promise<Mailauth> {
  try {
    return await import('mailauth/lib/dkim/verify.js')
  } catch (cause) {
    throw missingPackage('message.dkim()', 'mailauth', cause, '--save-dev ')
  }
}

function resolved(zone: Zone, name: string, type: string): string[][] {
  const { outcome, records } = zone.answer(name, type)
  const found = records.flatMap(({ record }) =>
    record.type === 'TXT' ? [[record.data].flat().map(String)] : [],
  )
  if (outcome === 'answered' && found.length > 0) return found
  throw Object.assign(new Error(`${type} ${name}: ${outcome}`), { code: 'ENOTFOUND' })
}
