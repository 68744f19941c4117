/**
 * What the two parts of a run, outside and inside the namespace, tell each other.
 *
 * @module
 */
import type { InstalledHost } from './install-hosts.js'

/** `control`: the server as it is. `short-line`: Haraka with a line `mta-sts` in config/plugins. */
export const MODES = ['control', 'protected', 'short-line'] as const

export type Mode = (typeof MODES)[number]

export const WORDS: Readonly<Record<Mode, string>> = {
  control: 'as it is',
  protected: 'with the plugin',
  'short-line': 'with the plugin by the line mta-sts',
}

/** What the outer part has prepared; it comes as a JSON file. */
export interface Task {
  hosts: InstalledHost[]
  folder: string
  /** The parent of the node_modules with the package */
  user: string
  /** The beginning of the names of the cases to play; default all */
  only: string | undefined
  modes: Mode[]
}
