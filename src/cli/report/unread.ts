/**
 * Says what could not be read, on standard error.
 *
 * @module
 */
import { escapeRemoteText } from '../../text.js'
import { counted } from '../../tlsrpt/assess-verdict.js'
import { complain, writeLines } from '../complain.js'
import type { CliContext } from '../context.js'
import { listed } from '../layout.js'
import type { UnreadFile } from './read-files.js'

/** Files that are listed with their reason; the rest is counted. */
const MAX_LISTED = 20

/** The package is looked for beside this one, wherever that is. */
const NPX_HINT = 'Or with npx: npx -p mta-sts -p postal-mime mta-sts report FILE...'

export function tellOfUnread(
  unread: readonly UnreadFile[],
  context: Pick<CliContext, 'stderr' | 'env'>,
): void {
  const mails = unread.filter(({ code }) => code === 'EPEER')
  const named = unread.filter((file) => file.named && file.code !== 'EPEER')
  const lost = unread.filter((file) => !file.named && !file.skipped && file.code !== 'EPEER')
  const others = unread.filter((file) => file.skipped)
  for (const line of listedWithReasons(named)) complain(line, context)
  for (const line of listedWithReasons(mails)) {
    complain(line, context)
    writeLines(NPX_HINT, context)
  }
  if (lost.length > 0) {
    const looks = lost.length === 1 ? '1 looks like a report' : `${lost.length} look like reports`
    complain(`${looks} but cannot be read:`, context)
    for (const line of listedWithReasons(lost)) writeLines(`  ${line}`, context)
  }
  if (others.length > 0) {
    const files = others.map(({ file }) => escapeRemoteText(file))
    complain(`skipped: ${listed(files, 3)}`, context)
  }
}

/** Files that cannot be read for one reason share a line, if they are many. */
function* listedWithReasons(files: readonly UnreadFile[]): Generator<string> {
  const reasons = new Map<string, string[]>()
  for (const { file, error } of files) {
    const names = reasons.get(error) ?? []
    names.push(escapeRemoteText(file))
    reasons.set(error, names)
  }
  for (const [error, names] of [...reasons].slice(0, MAX_LISTED))
    yield `${listed(names, 3)}: ${error}`
  if (reasons.size > MAX_LISTED) yield `and ${counted(reasons.size - MAX_LISTED, 'more reason')}`
}
