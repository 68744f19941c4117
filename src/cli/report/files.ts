/**
 * The files that are named on the command line, and those in directories.
 *
 * @module
 */
import { type Dirent, readdirSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** A file to read. */
export interface ReportFile {
  path: string
  /** It was named on the command line; others were found in a directory */
  named: boolean
}

/** A file or directory that cannot be read. */
export interface FailedPath extends ReportFile {
  error: unknown
}

/** Standard input. */
export const STDIN = '-'

export interface FoundFiles {
  files: readonly ReportFile[]
  failed: readonly FailedPath[]
}

/**
 * Lists what is named, and everything in directories and below, in the order of names. Symbolic
 * links are followed; a directory or file that is reached twice is listed once.
 */
export function listFiles(paths: readonly string[]): FoundFiles {
  const walk = new Walk()
  for (const path of paths) {
    if (path === STDIN) walk.files.push({ path, named: true })
    else walk.visit(path, true)
  }
  return walk
}

class Walk implements FoundFiles {
  readonly files: ReportFile[] = []
  readonly failed: FailedPath[] = []
  readonly #seen = new Set<string>()

  visit(path: string, named: boolean): void {
    try {
      const found = statSync(path)
      const real = realpathSync(path)
      if (found.isDirectory()) this.#directory(path, real)
      // Pipes and devices in a directory may never end
      else if (named || found.isFile()) this.#file(path, real, named)
    } catch (error) {
      // One that may not be entered ends nothing but itself
      this.failed.push({ path, named, error })
    }
  }

  #file(path: string, real: string, named: boolean): void {
    if (this.#isNew(real)) this.files.push({ path, named })
  }

  #directory(path: string, real: string): void {
    if (!this.#isNew(real)) return
    const entries = readdirSync(path, { withFileTypes: true })
    for (const entry of entries.sort(byName)) {
      const inside = join(path, entry.name)
      // Most files need no further call
      if (entry.isFile()) this.#file(inside, join(real, entry.name), false)
      else this.visit(inside, false)
    }
  }

  #isNew(real: string): boolean {
    const isNew = !this.#seen.has(real)
    this.#seen.add(real)
    return isNew
  }
}

function byName(a: Dirent, b: Dirent): number {
  return a.name < b.name ? -1 : 1
}
