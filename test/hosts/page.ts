/**
 * The commands of the page on Haraka, as a new user types them in an empty folder, with the
 * installed server and the packed package.
 *
 * @module
 */
import { mkdir, readFile, symlink } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { run } from '../lab/shell.js'
import { packedTarball } from '../package/packed.js'
import type { InstalledHost } from './install-hosts.js'

const PAGE = new URL('../../docs/haraka.md', import.meta.url)

/** @returns the folder of the instance that the commands have made, ready for the last command */
export async function followPage(host: InstalledHost, folder: string): Promise<string> {
  const [install, ...commands] = await commandsOfPage()
  const last = commands.pop()
  if (install !== 'npm install -g Haraka' || last !== 'haraka -c .') {
    throw new Error(`docs/haraka.md begins with "${install}" and ends with "${last}"`)
  }
  const bin = join(folder, 'bin')
  await mkdir(bin, { recursive: true })
  await symlink(join(host.folder, 'bin', 'haraka'), join(bin, 'haraka'))
  const tarball = await packedTarball()
  const script = commands.join('\n').replace('npm install mta-sts', `npm install ${tarball}`)
  if (!script.includes(tarball)) throw new Error('docs/haraka.md does not install mta-sts')
  const PATH = [bin, dirname(host.execPath), process.env.PATH].join(delimiter)
  const quiet = { npm_config_audit: 'false', npm_config_fund: 'false' }
  const env = { ...process.env, ...quiet, PATH }
  const where = await run('sh', ['-e', '-c', `${script}\npwd`], { cwd: folder, env })
  return where.trim().split('\n').at(-1) ?? ''
}

async function commandsOfPage(): Promise<string[]> {
  const text = await readFile(PAGE, 'utf8')
  const block = /^```sh\n(.*?)^```/ms.exec(text)?.[1] ?? ''
  return block.trim().split('\n')
}
