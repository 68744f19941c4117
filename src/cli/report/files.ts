/**
 * The files that are named on the command line, and those in directories.
 *
 * @module
 */
import { readdir, realpath, stat } from 'node:fs/promises'
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

/**
 * Lists what is named, and everything in directories and below, in the order of names. Symbolic
 * links are followed; a directory or file that is reached twice is listed once.
 */
export async function listFiles(
  paths: readonly string[],
): Promise<{ files: ReportFile[]; failed: FailedPath[] }> {
  const walk = new Walk()
  for (const path of paths) {
    if (path === STDIN) walk.files.push({ path, named: true })
    else await walk.visit(path, true)
  }
  return walk
}

class Walk {
  readonly files: ReportFile[] = []
  readonly failed: FailedPath[] = []
  readonly #seen = new Set<string>()

  async visit(path: string, named: boolean): Promise<void> {
    try {
      const found = await stat(path)
      if (found.isDirectory()) return await this.#directory(path)
      // Pipes and devices in a directory may never end
      if (!named && !found.isFile()) return
      if (await this.#isNew(path)) this.files.push({ path, named })
    } catch (error) {
      // One that may not be entered ends nothing but itself
      this.failed.push({ path, named, error })
    }
  }

  async #directory(path: string): Promise<void> {
    if (!(await this.#isNew(path))) return
    const names = await readdir(path)
    for (const name of names.sort()) await this.visit(join(path, name), false)
  }

  async #isNew(path: string): Promise<boolean> {
    const real = await realpath(path)
    if (this.#seen.has(real)) return false
    this.#seen.add(real)
    return true
  }
}
