/**
 * Reports from files and directories.
 *
 * @module
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { escapeRemoteText, textOfThrown } from '../../text.js'
import type { TlsReport } from '../../tlsrpt/report.js'

export interface FoundReport {
  file: string
  report: TlsReport
}

export interface UnreadFile {
  file: string
  /** In words */
  error: string
  /** It was named on the command line; others only lay beside reports */
  named: boolean
}

export interface FoundFiles {
  /** Each report once, however many files hold it */
  reports: FoundReport[]
  unread: UnreadFile[]
}

/** A file that is longer holds no report, whatever it is packed in. In bytes. */
const MAX_FILE = 32 * 1024 * 1024

/** Reads what is named; of a directory, all that is in it and below. */
export async function readReports(paths: readonly string[]): Promise<FoundFiles> {
  // Most users of the command have no use for this part of the package
  const { parseReport } = await import('../../tlsrpt/index.js')
  const found: FoundFiles = { reports: [], unread: [] }
  const seen = new Set<string>()
  for (const path of paths) {
    for await (const { file, named } of filesAt(path, found.unread)) {
      try {
        const { size } = await stat(file)
        if (size > MAX_FILE) throw new Error(`it has ${size} bytes, and ${MAX_FILE} is the limit`)
        const report = parseReport(await readFile(file))
        // RFC 8460 §4.4: who sends a report twice gives both the same id
        const identity = JSON.stringify([report.organizationName, report.reportId])
        if (!seen.has(identity)) found.reports.push({ file, report })
        seen.add(identity)
      } catch (error) {
        found.unread.push({ file, error: messageOf(error), named })
      }
    }
  }
  return found
}

async function* filesAt(
  path: string,
  unread: UnreadFile[],
): AsyncGenerator<{ file: string; named: boolean }> {
  try {
    if (!(await stat(path)).isDirectory()) return yield { file: path, named: true }
    yield* filesBelow(path)
  } catch (error) {
    unread.push({ file: path, error: messageOf(error), named: true })
  }
}

async function* filesBelow(folder: string): AsyncGenerator<{ file: string; named: boolean }> {
  const entries = await readdir(folder, { withFileTypes: true })
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* filesBelow(path)
    else if (entry.isFile()) yield { file: path, named: false }
  }
}

function messageOf(error: unknown): string {
  return escapeRemoteText(textOfThrown(error))
}
