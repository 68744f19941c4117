/**
 * The command `mta-sts check --connect` of the packed package, in the sender's namespace.
 *
 * @module
 */
import type { CheckReport } from '../../src/cli/check/findings.js'
import type { Namespace } from './network.js'
import { run } from './shell.js'

export interface CheckFromOptions {
  /** Where the package is installed */
  folder: string
  rootFile: string
  options: readonly string[]
}

/** Returns the reports by domain. */
export async function checkFrom(
  sender: Namespace,
  names: readonly string[],
  { folder, rootFile, options }: CheckFromOptions,
): Promise<Map<string, CheckReport>> {
  const command = ['node_modules/mta-sts/dist/cli.js', 'check', '--connect', '--ndjson']
  const list = ['--file', '-', '--concurrency', '64', ...options]
  const [first = '', ...line] = sender.command(process.execPath, ...command)
  const { PATH, HOME } = process.env
  const printed = await run(first, [...line, ...list], {
    cwd: folder,
    env: { PATH, HOME, NODE_EXTRA_CA_CERTS: rootFile },
    input: names.join('\n'),
    statuses: [0, 1, 3],
  })
  const reports = printed
    .split('\n')
    .filter(Boolean)
    .map((one): CheckReport => JSON.parse(one))
  return new Map(reports.map((report) => [report.domain, report]))
}
