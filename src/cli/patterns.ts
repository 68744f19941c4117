/**
 * `mx` patterns against the MX hosts of now: those that do not do what their authors think.
 *
 * @module
 */
import { isIP } from 'node:net'
import { matchesMx } from '../policy/mx-pattern.js'
import { escapeRemoteText } from '../text.js'

/**
 * - `too-deep`: `*.google.com`, and the MX host has two labels more
 * - `bare`: `google.com`, and the MX host stands below it
 * - `address`: an IP address, which matches nothing
 * - `unused`: no MX record matches
 */
export type PatternProblem = 'too-deep' | 'bare' | 'address' | 'unused'

export interface OddPattern {
  pattern: string
  problem: PatternProblem
  /** The MX host that was meant, where there is one */
  host: string | undefined
}

/** Returns the patterns that match none of the hosts, and why. */
export function oddPatterns(patterns: readonly string[], hosts: readonly string[]): OddPattern[] {
  const unused = patterns.filter((pattern) => !hosts.some((host) => matchesMx(host, [pattern])))
  return unused.map((pattern) => {
    if (isIP(pattern)) return { pattern, problem: 'address', host: undefined }
    const base = pattern.startsWith('*.') ? pattern.slice(2) : pattern
    const below = hosts.find((host) => host.endsWith(`.${base}`))
    const problem = below === undefined ? 'unused' : pattern === base ? 'bare' : 'too-deep'
    return { pattern, problem, host: below }
  })
}

export function explainPattern({ pattern, problem, host }: OddPattern): string {
  switch (problem) {
    case 'too-deep':
      return `"mx: ${pattern}" does not match ${host}: "*" stands for exactly one label. Write "mx: ${wildcardFor(host ?? '')}", or the host itself.`
    case 'bare':
      return `"mx: ${pattern}" does not match ${host}: without "*." it is a host name, not a domain. Write "mx: ${host}".`
    case 'address':
      return `"mx: ${pattern}" matches nothing: MX hosts have names, and a policy holds names only.`
    case 'unused':
      return `No MX record matches ${pattern}.`
  }
}

function wildcardFor(host: string): string {
  return `*${host.slice(host.indexOf('.'))}`
}

/** Tells whether a pattern names all hosts below a top-level domain, or has no dot at all. */
export function isTooBroad(pattern: string): boolean {
  const base = pattern.startsWith('*.') ? pattern.slice(2) : pattern
  return !base.includes('.')
}

/** Escapes a line of a policy file; the name in an `mx` line stays whole. */
export function escapePolicyLine(line: string): string {
  const [, field = '', name = '', rest = line] = /^(\s*mx\s*:\s*)(\S+)(.*)$/is.exec(line) ?? []
  return [field, name, rest].map(escapeRemoteText).join('')
}
