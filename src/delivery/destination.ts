/**
 * The destination of a message, parsed once at the edge; later code reads the parsed form.
 *
 * @module
 */
import { parseAddressLiteral, toALabels } from '../dns/domain-name.js'
import { MtaStsError } from '../errors.js'
import { escapeRemoteText } from '../text.js'

/**
 * - `domain`: a recipient domain; delivered to its MX hosts
 * - `literal`: an address literal (RFC 5321 §4.1.3); it has no policy (RFC 8461 §3.4).
 *   `configured`: the operator chose it, as the address of a smart host
 * - `smart-host`: a configured host; its own name is the Policy Domain (RFC 8461 §3.4)
 */
export type Destination =
  | { kind: 'domain'; name: string }
  | { kind: 'literal'; name: string; address: string; configured?: true }
  | { kind: 'smart-host'; name: string }

/**
 * Parses a domain name or an address literal.
 *
 * @returns `name` in A-labels and lower case, without a root dot; a literal is not changed
 * @throws MtaStsError `EDOMAIN` for any other text
 */
export function parseDestination(domain: string, route: 'mx' | 'smart-host' = 'mx'): Destination {
  const destination = typeof domain === 'string' ? tryParseDestination(domain, route) : undefined
  if (destination) return destination
  const shown =
    typeof domain === 'string'
      ? `"${escapeRemoteText(domain)}"`
      : `A value of type ${typeof domain}`
  throw new MtaStsError(`${shown} is not a domain name: check the recipient's address`, 'EDOMAIN')
}

/** Parses as {@link parseDestination} does, but returns undefined where that throws. */
export function tryParseDestination(
  domain: string,
  route: 'mx' | 'smart-host' = 'mx',
): Destination | undefined {
  const address = parseAddressLiteral(domain)
  if (address !== undefined) {
    const literal = { kind: 'literal', name: domain, address } as const
    return route === 'mx' ? literal : { ...literal, configured: true }
  }
  const name = toALabels(domain)
  return name === undefined ? undefined : { kind: route === 'mx' ? 'domain' : 'smart-host', name }
}
