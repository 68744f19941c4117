/**
 * Colours, and a line of progress on a terminal.
 *
 * @module
 */
import { styleText } from 'node:util'
import type { CliContext, Output } from './context.js'

export type Colour = 'green' | 'red' | 'yellow' | 'bold' | 'dim'

/** Paints text, or leaves it as it is. */
export type Paint = (colour: Colour, text: string) => string

/** Colours on a terminal only, and not where NO_COLOR is set (https://no-color.org). */
export function painter(output: Output, env: CliContext['env']): Paint {
  if (!isScreen(output, env) || env.NO_COLOR) return (_, text) => text
  // Newer versions of Node would decide by the process's own stdout
  return (colour, text) => styleText(colour, text, { validateStream: false })
}

/** A line with the present step; it is cleared when the output comes. */
export interface Progress {
  show(text: string): void
  clear(): void
}

const COLUMNS = 79

export function progressOn({ stderr, env }: Pick<CliContext, 'stderr' | 'env'>): Progress {
  if (!isScreen(stderr, env)) return { show: () => undefined, clear: () => undefined }
  let shown = false
  return {
    show(text) {
      shown = true
      stderr.write(`\r\u{1b}[K${text.slice(0, COLUMNS)}`)
    },
    clear() {
      if (shown) stderr.write('\r\u{1b}[K')
      shown = false
    },
  }
}

function isScreen(output: Output, env: CliContext['env']): boolean {
  return output.isTTY === true && env.TERM !== 'dumb'
}
