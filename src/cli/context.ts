/**
 * The surroundings of a command, and its exit status.
 *
 * @module
 */
import type { DnssecResolver } from '../dane/secure-answer.js'
import type { Resolver } from '../dns/resolver.js'
import { MtaStsError } from '../errors.js'
import type { Connect } from '../net/connect.js'

/** The part of `process.stdout` and `process.stderr` that is used. */
export interface Output {
  write(text: string): unknown
  isTTY?: boolean | undefined
  /** The width of a terminal */
  columns?: number | undefined
}

/** Timeouts of a sender with its defaults, in place of the library's own: for tests. */
export interface SenderTimeouts {
  /** For a DNS query */
  dns?: number | undefined
  /** For the whole GET of a policy */
  fetch?: number | undefined
  /** For a TCP connection, and for STARTTLS with its handshake */
  connection?: number | undefined
  /** For the greeting and for any other SMTP reply */
  reply?: number | undefined
}

export interface CliContext {
  stdout: Output
  stderr: Output
  env: Readonly<Record<string, string | undefined>>
  /** Standard input; default: empty */
  stdin?: AsyncIterable<Uint8Array | string> | undefined
  /** Aborted by Ctrl-C, or when the output's pipe is closed: commands print their results so far */
  signal?: AbortSignal | undefined
  /** Replaces the system's resolver; `--resolver` goes before it */
  resolver?: Resolver | undefined
  /** For `--dane`, in place of the validating resolver of this machine or of `--resolver` */
  dnssecResolver?: DnssecResolver | undefined
  /** Opens TCP connections; default `net.connect` */
  connect?: Connect | undefined
  /** The clock, in epoch milliseconds; default `Date.now` */
  now?: (() => number) | undefined
  /** A sender's own timeouts; `--timeout` goes before them */
  timeouts?: SenderTimeouts | undefined
  /** Waits until the next round of `watch`; default: a timer */
  sleep?: ((milliseconds: number, signal: AbortSignal | undefined) => Promise<void>) | undefined
}

/**
 * - `fine`: nothing is wrong
 * - `unprotected`: a sender would refuse to deliver, or would deliver without protection
 * - `usage`: the command line is wrong
 * - `unknown`: it could not be found out
 */
export const EXIT = { fine: 0, unprotected: 1, usage: 2, unknown: 3 } as const

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT]

/** One of the commands of `mta-sts`. */
export interface Command {
  /** One line, for the list of commands */
  summary: string
  /** The text of `--help`: at most 80 columns */
  help: string
  /** Prints its results so far when `CliContext.signal` is aborted; others end at once */
  printsAtInterrupt?: true
  run(argv: readonly string[], context: CliContext): Promise<ExitStatus>
}

/** The command line is wrong: exit status 2. */
export class UsageError extends MtaStsError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'EUSAGE', options)
  }
}

/** Returns the worst of several statuses, for a command that looked at many things. */
export function worstOf(statuses: Iterable<ExitStatus>): ExitStatus {
  const seen = new Set(statuses)
  const order: readonly ExitStatus[] = [EXIT.usage, EXIT.unprotected, EXIT.unknown]
  return order.find((status) => seen.has(status)) ?? EXIT.fine
}
