/**
 * Whether the lab can be built on this machine.
 *
 * @module
 */
import { access, constants } from 'node:fs/promises'
import { EXIM } from './exim.js'
import { run } from './shell.js'

const PROGRAMS = [
  'ip',
  'ss',
  'named',
  'nsupdate',
  'dnssec-keygen',
  'dnssec-signzone',
  'unbound',
  'unbound-control',
  'nginx',
  'postfix',
  'posttls-finger',
]

/** Returns the missing parts, in sentences with the remedy. */
export async function missingRequirements(): Promise<string[]> {
  if (process.platform !== 'linux') return ['It needs Linux: it makes network namespaces.']
  if (process.getuid?.() !== 0) return ['It needs root: it makes network namespaces.']
  const missing: string[] = []
  for (const program of PROGRAMS) {
    const path = await run('sh', ['-c', `command -v ${program}`]).catch(() => undefined)
    if (path === undefined) missing.push(program)
  }
  const exim = await access(EXIM, constants.X_OK).catch(() => 'missing')
  if (exim === 'missing') missing.push(EXIM)
  if (missing.length === 0) return []
  return [`${missing.join(', ')}: not there. Run test/lab/install.sh first (Debian packages).`]
}
