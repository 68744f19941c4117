/**
 * Colours, and a line of progress on a terminal.
 *
 * @module
 */
import { styleText } from 'node:util'
import { shorten } from './columns.js'
import type { CliContext, Output } from './context.js'

export type Colour = 'green' | 'red' | 'yellow' | 'bold' | 'dim'

/** Paints text, or leaves it as it is. */
export type Paint = (colour: Colour, text: string) => string

/** Returns the colours of an output: see {@link hasColours}. */
export function painter(output: Output, env: CliContext['env']): Paint {
  if (!hasColours(output, env)) return (_, text) => text
  // Newer versions of Node would decide by the process's own stdout
  return (colour, text) => styleText(colour, text, { validateStream: false })
}

/**
 * Tells whether an output has colours: a terminal, unless NO_COLOR is set (https://no-color.org).
 * FORCE_COLOR goes before both, as in Node itself: 0 or false for none, anything else for colours.
 */
function hasColours(output: Output, env: CliContext['env']): boolean {
  const { FORCE_COLOR: forced, NO_COLOR: none } = env
  if (forced !== undefined) return forced !== '0' && forced !== 'false'
  return isScreen(output, env) && !none
}

/** The way in which text is laid out on an output. */
export interface Screen {
  paint: Paint
  /** In columns */
  width: number
}

/** Columns of an output that is no terminal, or does not say how many it has. */
const COLUMNS = 80

/** The narrowest and the widest text: tables need the first, and longer lines are hard to read. */
const MIN_WIDTH = 60
const MAX_WIDTH = 120

export function screenOf(output: Output, env: CliContext['env']): Screen {
  const columns = (output.isTTY && output.columns) || COLUMNS
  const width = Math.min(MAX_WIDTH, Math.max(MIN_WIDTH, columns))
  return { paint: painter(output, env), width }
}

/** A line with the present step; it is cleared when the output comes. */
export interface Progress {
  show(text: string): void
  clear(): void
}

export function progressOn({ stderr, env }: Pick<CliContext, 'stderr' | 'env'>): Progress {
  if (!isScreen(stderr, env)) return { show: () => undefined, clear: () => undefined }
  let shown = false
  return {
    show(text) {
      shown = true
      // A line that wraps could not be cleared
      const width = Math.min(stderr.columns || COLUMNS, COLUMNS) - 1
      stderr.write(`\r\u{1b}[K${shorten(text, width)}`)
    },
    clear() {
      if (shown) stderr.write('\r\u{1b}[K')
      shown = false
    },
  }
}

/** Tells whether an output is a terminal that can do more than print. */
export function isScreen(output: Output, env: CliContext['env']): boolean {
  return output.isTTY === true && env.TERM !== 'dumb'
}
