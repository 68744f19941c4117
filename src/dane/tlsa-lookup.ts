/**
 * Looks up the addresses and TLSA records of one MX host, and derives the demand of DANE on
 * connections to it (RFC 7672 §2.2).
 *
 * @module
 */
import { type AddressLookup, lookupAddresses } from '../dns/addresses.js'
import type { MxRecord } from '../dns/shared-lookups.js'
import type { TlsFailure } from '../tls/failures.js'
import { referenceNames, type TlsaRecord } from '../tls/security.js'
import type { DaneDemand, DaneHost, DaneHostOptions } from './dane.js'
import type { SecureAnswer } from './secure-answer.js'
import { type AskSecure, recordsOrThrow } from './shared-queries.js'
import { isUsable } from './tlsa-records.js'

/** Looks up a host. Never rejects. */
export async function lookupHost(
  mxHost: string,
  options: DaneHostOptions,
  ask: AskSecure,
): Promise<DaneHost> {
  const { addresses, answers } = await lookupSecureAddresses(mxHost, options, ask)
  // Without an address the host cannot be used, whatever DANE demands
  if (addresses.problem || !isSecure(options.mx)) return { addresses, demand: { kind: 'none' } }
  const bases = await tlsaBaseDomains(mxHost, answers, { ...options, ask })
  const demand = Array.isArray(bases) ? await demandOf(mxHost, bases, { ...options, ask }) : bases
  return { addresses, demand }
}

type Asking = DaneHostOptions & { ask: AskSecure }

/**
 * Whether DANE applies to the hosts. An insecure MX RRset, or an insecure denial of one, ends it
 * (RFC 7672 §2.2.1).
 */
function isSecure(mx: SecureAnswer<MxRecord>): boolean {
  return mx.kind !== 'failed' && mx.secure
}

/** Returns the addresses as every delivery looks them up, and the answers that hold them. */
async function lookupSecureAddresses(
  mxHost: string,
  options: DaneHostOptions,
  ask: AskSecure,
): Promise<{ addresses: AddressLookup; answers: Array<SecureAnswer<string>> }> {
  const answers: Array<SecureAnswer<string>> = []
  const resolve = (type: 'A' | 'AAAA') => async (name: string) => {
    const answer = await ask(name, type, options.dnsTimeout)
    answers.push(answer)
    return recordsOrThrow(answer, { name, type })
  }
  const resolver = {
    resolve4: resolve('A'),
    resolve6: resolve('AAAA'),
    resolveMx: async () => [],
    resolveTxt: async () => [],
  }
  return { addresses: await lookupAddresses(mxHost, { ...options, resolver }), answers }
}

/**
 * Returns the TLSA base domains (RFC 7672 §2.2.2 and §2.2.3), only if the addresses are secure:
 * name servers without DNSSEC may fail on TLSA questions. The end of a secure CNAME chain comes
 * before the name itself; if only the alias is secure, only the name itself remains.
 */
async function tlsaBaseDomains(
  mxHost: string,
  answers: ReadonlyArray<SecureAnswer<string>>,
  { ask, dnsTimeout }: Asking,
): Promise<string[] | DaneDemand> {
  // One address family is enough; the failure of the other one does not matter
  const found = answers.filter((answer) => answer.kind === 'found')
  const names = found.map(({ name }) => name)
  if (found.every(({ secure }) => secure)) return [...new Set([...names, mxHost])]
  if (names.every((name) => name === mxHost)) return { kind: 'none' }
  const alias = await ask(mxHost, 'CNAME', dnsTimeout)
  if (alias.kind === 'failed') return skip(mxHost, alias)
  return alias.kind === 'found' && alias.secure ? [mxHost] : { kind: 'none' }
}

async function demandOf(
  mxHost: string,
  bases: readonly string[],
  { ask, domain, mx, port, dnsTimeout }: Asking,
): Promise<DaneDemand> {
  for (const base of bases) {
    const answer = await ask(`_${port}._tcp.${base}`, 'TLSA', dnsTimeout)
    // The second name cannot make up for a failure at the first one
    if (answer.kind === 'failed') return skip(mxHost, answer)
    // An insecure answer or denial (NSEC3 opt-out) counts as no records
    if (answer.kind === 'absent' || !answer.secure) continue
    const tlsa = inOrder(answer.records.filter(isUsable))
    if (tlsa.length > 0) {
      const names = referenceNames(base, domain, aliasOf(mx))
      return { kind: 'dane', proof: { by: 'dane', tlsa, base, names } }
    }
    const failure: TlsFailure = { resultType: 'tlsa-invalid', reason: 'tlsa-unusable', mxHost }
    return { kind: 'tls-required', base, tlsa: answer.records, failure }
  }
  return { kind: 'none' }
}

/** Sorts records, since name servers rotate them: reused connections and reports compare them. */
function inOrder(tlsa: readonly TlsaRecord[]): TlsaRecord[] {
  const key = ({ usage, selector, matchingType, data }: TlsaRecord) =>
    [usage, selector, matchingType, Buffer.from(data).toString('hex')].join(' ')
  return [...tlsa].sort((one, other) => (key(one) < key(other) ? -1 : 1))
}

/** Skips a host after a failed lookup, which says nothing about the records (RFC 7672 §2.2). */
function skip(mxHost: string, answer: { error: Error; bogus: boolean }): DaneDemand {
  const reason = answer.bogus ? 'dnssec-bogus' : 'tlsa-lookup-failed'
  const failure: TlsFailure = { resultType: 'dnssec-invalid', reason, mxHost, cause: answer.error }
  return { kind: 'skip', failure }
}

function aliasOf(mx: SecureAnswer<MxRecord>): string | undefined {
  return mx.kind === 'failed' ? undefined : mx.name
}
