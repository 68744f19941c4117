/**
 * Data from the outer part of a run to the part inside the namespace.
 *
 * @module
 */
import type { InstalledHost } from './install-hosts.js'

/**
 * - `control`: the server by itself
 * - `protected`: with the plugin
 * - `dane`: with the plugin, and DANE enabled
 * - `short-line`: Haraka with a line `mta-sts` in config/plugins
 * - `page`: Haraka as the commands of its page set it up
 */
export const MODES = ['control', 'protected', 'dane', 'short-line', 'page'] as const

export type Mode = (typeof MODES)[number]

export const WORDS: Readonly<Record<Mode, string>> = {
  control: 'as it is',
  protected: 'with the plugin',
  dane: 'with the plugin and DANE',
  'short-line': 'with the plugin by the line mta-sts',
  page: 'set up as its page says',
}

/** The work of one run, prepared by the outer part, as a JSON file. */
export interface Task {
  hosts: InstalledHost[]
  folder: string
  /** The parent of the node_modules with the package */
  user: string
  /** The beginning of the names of the cases to play; default all */
  only: string | undefined
  modes: Mode[]
  /** By name of the host: the folder made by the page's commands */
  pages: Record<string, string>
}
