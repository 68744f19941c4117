/**
 * Options on the command line: those that several commands share, and one way to read them.
 *
 * @module
 */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { domainOfMailbox, toALabels } from '../dns/domain-name.js'
import { nearest } from '../option-checks.js'
import { escapeRemoteText } from '../text.js'
import { UsageError } from './context.js'

type Options = NonNullable<ParseArgsConfig['options']>

export const COMMON_OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  debug: { type: 'boolean' },
  json: { type: 'boolean' },
} as const satisfies Options

export const NETWORK_OPTIONS = {
  resolver: { type: 'string' },
  ca: { type: 'string' },
  timeout: { type: 'string' },
} as const satisfies Options

export const COMMON_HELP = `\
  --json            print JSON
  --debug           show stack traces of errors
  -h, --help        print this`

export const NETWORK_HELP = `\
  --resolver H[:P]  ask this name server; default: those of the system
  --ca FILE         trust these roots (PEM) only; default: those of Node
  --timeout MS      for each DNS query, GET, connection and SMTP reply; default:
                    a sender's own (5 s for DNS, 30 s for a GET or connecting)`

/**
 * Reads options and positionals. Every option may be given once, but for those that are declared
 * `multiple`.
 *
 * @throws UsageError
 */
export function parseArguments<O extends Options>(argv: readonly string[], options: O) {
  try {
    const parsed = parseArgs({
      args: [...argv],
      options,
      allowPositionals: true,
      strict: true,
      tokens: true,
    })
    refuseRepeated(parsed.tokens, options)
    return parsed
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause
    // Node goes on with advice that only fits programs that take any positional argument
    const [what = cause.message] = cause.message.split(/[.\n]/, 1)
    const hint = hintFor(cause, options)
    throw new UsageError(`${escapeRemoteText(what)}.${hint}`, { cause })
  }
}

type Token = { kind: string; name?: string; rawName?: string }

/** Refuses an option that is given twice: one of the two values would be dropped silently. */
function refuseRepeated(tokens: readonly Token[], options: Options): void {
  const seen = new Set<string>()
  for (const { kind, name = '', rawName = '' } of tokens) {
    if (kind !== 'option' || options[name]?.type !== 'string' || options[name]?.multiple) continue
    if (seen.has(name)) throw new UsageError(`${rawName} is given twice.`)
    seen.add(name)
  }
}

function hintFor(error: TypeError, options: Options): string {
  const [, name] = /^Unknown option '--?([^']+)'/.exec(error.message) ?? []
  const known = name === undefined ? undefined : nearest(name, Object.keys(options))
  return known === undefined ? '' : ` Did you mean --${known}?`
}

/** @throws UsageError that names the option */
export function wholeNumber(
  option: string,
  text: string,
  bounds: { min: number; max: number },
): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (value >= bounds.min && value <= bounds.max) return value
  const range = `${bounds.min} to ${bounds.max}`
  throw new UsageError(`${option} takes a whole number, ${range}, not "${escapeRemoteText(text)}".`)
}

/** Returns the A-labels of a domain as the user wrote it. @throws UsageError */
export function domainArgument(text: string): string {
  const domain = toALabels(text)
  if (domain !== undefined) return domain
  throw new UsageError(noDomain(text))
}

/** Returns a message about a text that is no domain name, with the domain that may be meant. */
export function noDomain(text: string): string {
  const meant = domainWithin(text)
  const hint = meant === undefined ? '' : ` Did you mean "${meant}"?`
  return `"${escapeRemoteText(text)}" is not a domain name.${hint}`
}

/** Returns the domain of a URL, of a mailbox, or of a name with something round it. */
function domainWithin(text: string): string | undefined {
  if (text.includes('://')) {
    return URL.canParse(text) ? toALabels(new URL(text).hostname) : undefined
  }
  const bare = text.replace(/^(?:mailto:|\*\.|@|<)+/i, '').replace(/[>,;]+$/, '')
  const domain = domainOfMailbox(bare)
  if (domain !== undefined) return toALabels(domain)
  const [head = ''] = bare.split(/[/:?#]/, 1)
  return head === text || !head.includes('.') ? undefined : toALabels(head)
}
