/**
 * What the command runs in, and how it ends.
 *
 * @module
 */

import type { Resolver } from '../dns/resolver.js'
import { MtaStsError } from '../errors.js'
import type { Connect } from '../net/connect.js'

/** What is used of `process.stdout` and `process.stderr`. */
export interface Output {
  write(text: string): unknown
  isTTY?: boolean | undefined
  /** Of a terminal: how wide it is */
  columns?: number | undefined
}

export interface CliContext {
  stdout: Output
  stderr: Output
  env: Readonly<Record<string, string | undefined>>
  /** Standard input; default: empty */
  stdin?: AsyncIterable<Uint8Array | string> | undefined
  /** In place of the system's; `--resolver` goes before it */
  resolver?: Resolver | undefined
  /** How TCP connections are opened; default `net.connect` */
  connect?: Connect | undefined
  /** The clock, in epoch milliseconds; default `Date.now` */
  now?: (() => number) | undefined
}

/**
 * - `fine`: nothing to complain of
 * - `unprotected`: a sender would refuse to deliver, or would deliver without protection
 * - `usage`: the command line is wrong
 * - `unknown`: it could not be found out
 */
export const EXIT = { fine: 0, unprotected: 1, usage: 2, unknown: 3 } as const

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT]

/** One of the commands behind `mta-sts`. */
export interface Command {
  /** In one line, for the list of commands */
  summary: string
  /** What `--help` prints: at most 80 columns */
  help: string
  run(argv: readonly string[], context: CliContext): Promise<ExitStatus>
}

/** The command line is wrong: exit status 2. */
export class UsageError extends MtaStsError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'EUSAGE', options)
  }
}

/** The worst of several, for the exit status of a command that looked at many things. */
export function worstOf(statuses: readonly ExitStatus[]): ExitStatus {
  const order: readonly ExitStatus[] = [EXIT.usage, EXIT.unprotected, EXIT.unknown]
  return order.find((status) => statuses.includes(status)) ?? EXIT.fine
}
