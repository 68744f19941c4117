import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { ROOT, run } from '../package/packed.js'

export const EXAMPLES = join(ROOT, 'examples')
export const TIMEOUT = 120_000

/** Returns the command in a file's first comment, without the build before it. */
export function commandOf(path: string): string[] {
  const [comment = ''] = /^\/\*\*.*?\*\//s.exec(readFileSync(path, 'utf8')) ?? []
  const [, command] = /^ \* {5}(.*)$/m.exec(comment) ?? []
  if (command === undefined) throw new Error(`${basename(path)} does not say how to run it`)
  return command.replace('npm run build && ', '').split(' ')
}

export async function printed(command: readonly string[], folder = ROOT): Promise<string> {
  const { stdout, stderr } = await run(command, folder)
  return stripVTControlCharacters(stdout + stderr)
}
