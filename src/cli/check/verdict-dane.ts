/**
 * The verdict of a sender with DANE where no policy of mode `enforce` applies: there DANE alone
 * decides (RFC 7672 §2.2).
 *
 * @module
 */
import type { MxHostCheck, Problem } from './findings.js'
import { isOfPolicy, isSkipped } from './outcome.js'
import { blame, byOutcome, type Judgement, names } from './verdict-parts.js'

/** Tells whether DANE demands something of one of the hosts. */
export function isDemanded(hosts: readonly MxHostCheck[]): boolean {
  return hosts.some(isUnderDane)
}

function isUnderDane({ dane }: MxHostCheck): boolean {
  return dane !== null && dane.outcome !== null
}

/** Tells whether TLSA records exist and none is usable: TLS is a must, and authenticates nobody. */
function isEncryptedOnly({ dane }: MxHostCheck): boolean {
  return dane?.problem?.reason === 'tlsa-unusable'
}

/**
 * Judges the hosts by DANE alone.
 *
 * @param cause why no policy decides
 * @param more another part of the sentence
 */
export function underDane(cause: string, hosts: readonly MxHostCheck[], more = ''): Judgement {
  const outcomes = byOutcome(hosts, ({ dane }) => dane?.outcome ?? null)
  const { refused, unknown, untried } = outcomes
  const proved = outcomes.proved.filter((host) => !isEncryptedOnly(host))
  const encrypted = outcomes.proved.filter(isEncryptedOnly)
  const free = hosts.filter((host) => !isUnderDane(host))
  const parts = [
    proved.length > 0 ? `senders with DANE deliver to ${names(proved)}` : '',
    untried.length > 0 ? `not tried: ${names(untried)} (--connect tries)` : '',
    unknown.length > 0 ? `could not find out about ${names(unknown)}` : '',
    refused.length > 0 ? `senders with DANE refuse ${blame(refused, problemByDane)}` : '',
    encrypted.length > 0
      ? `over TLS that authenticates nobody: ${names(encrypted)} (no TLSA record is usable)`
      : '',
    free.length > 0 ? `without protection: ${names(free)} (no TLSA records)` : '',
    'senders without DANE deliver without protection',
    more,
  ].filter(Boolean)
  const text = `${cause}; DANE: ${parts.join('; ')}`
  if (refused.length > 0) return { status: 'refused', text }
  if (unknown.length > 0) return { status: 'unknown', text }
  return { status: encrypted.length + free.length > 0 ? 'unprotected' : 'fine', text }
}

function problemByDane(host: MxHostCheck): Problem | undefined {
  const { problem, dane, sessions } = host
  const ofHost = isOfPolicy(problem) ? null : problem
  const skipped = isSkipped(host) ? dane?.problem : null
  return ofHost ?? skipped ?? sessions?.find((one) => one.daneProblem)?.daneProblem ?? undefined
}
