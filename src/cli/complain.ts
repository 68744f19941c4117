/**
 * Messages on standard error.
 *
 * @module
 */
import type { CliContext } from './context.js'
import { wrap } from './layout.js'
import { isScreen, screenOf } from './terminal.js'

type Surroundings = Pick<CliContext, 'stderr' | 'env'>

/** Writes `mta-sts: text`. It is wrapped on a terminal only: a log has one line for a message. */
export function complain(text: string, surroundings: Surroundings): void {
  writeLines(`mta-sts: ${text}`, surroundings)
}

/** Writes a line without the name of the program: one that goes on from a message. */
export function writeLines(text: string, { stderr, env }: Surroundings): void {
  const lines = isScreen(stderr, env) ? wrap(text, screenOf(stderr, env).width) : [text]
  stderr.write(`${lines.join('\n')}\n`)
}
