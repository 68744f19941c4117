/**
 * The package as users get it: built and packed from a copy of the tree, and installed from the
 * tarball in an empty folder, with Nodemailer.
 *
 * @module
 */
import { copyFile, cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './shell.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Folders that are not needed for the package; the tree itself is not changed. */
const LEFT_OUT = new Set(['.ci', '.git', 'coverage', 'dist', 'examples', 'node_modules', 'test'])

const QUIET = { npm_config_audit: 'false', npm_config_fund: 'false', npm_config_loglevel: 'error' }

/** The parts of a sender: its program, below this folder, and the packages besides `mta-sts`. */
export interface SenderParts {
  program: string
  packages: readonly string[]
}

const PLAIN: SenderParts = { program: 'sender.mjs', packages: ['nodemailer'] }

/** @returns the folder in which the package is installed, and the program as `sender.mjs` */
export async function installPackage(directory: string, parts = PLAIN): Promise<string> {
  const tarball = await pack(join(directory, 'build'))
  const folder = join(directory, 'sender')
  await mkdir(folder)
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
  const packages = await Promise.all(
    parts.packages.map(async (name) => `${name}@${await versionOf(name)}`),
  )
  const args = ['install', '--prefer-offline', '--no-save', tarball, ...packages]
  await run('npm', args, { cwd: folder, env: { ...process.env, ...QUIET } })
  await copyFile(new URL(parts.program, import.meta.url), join(folder, 'sender.mjs'))
  return folder
}

async function pack(folder: string): Promise<string> {
  await mkdir(folder)
  for (const name of await readdir(ROOT)) {
    if (LEFT_OUT.has(name)) continue
    await cp(join(ROOT, name), join(folder, name), { recursive: true })
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const options = { cwd: folder, env: { ...process.env, ...QUIET } }
  await run('npm', ['run', 'build'], options)
  const packed: unknown = JSON.parse(await run('npm', ['pack', '--json'], options))
  const [first]: unknown[] = Array.isArray(packed) ? packed : []
  if (typeof first !== 'object' || first === null || !('filename' in first)) {
    throw new Error('npm pack has not said what it packed')
  }
  return join(folder, String(first.filename))
}

/** Returns the version that the project is developed with. */
async function versionOf(name: string): Promise<string> {
  const text = await readFile(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')
  const { version }: { version: string } = JSON.parse(text)
  return version
}
