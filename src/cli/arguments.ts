/**
 * Options on the command line: those that several commands share, and one way to read them.
 *
 * @module
 */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { toALabels } from '../dns/domain-name.js'
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
  --timeout MS      for each DNS query, GET and SMTP session; default 10000`

/** @throws UsageError */
export function parseArguments<O extends Options>(argv: readonly string[], options: O) {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: true, strict: true })
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause
    // Node goes on with advice that only fits programs that take any positional argument
    const [what = cause.message] = cause.message.split(/[.\n]/, 1)
    throw new UsageError(`${escapeRemoteText(what)}.`, { cause })
  }
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

/** A domain as the user wrote it, in A-labels. @throws UsageError */
export function domainArgument(text: string): string {
  const domain = toALabels(text)
  if (domain !== undefined) return domain
  throw new UsageError(`"${escapeRemoteText(text)}" is not a domain name.`)
}
