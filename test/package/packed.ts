/**
 * The package as its users get it: built and packed from a copy of the tree, and installed from the
 * tarball in an empty folder.
 *
 * @module
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** What the tarball is made of; the tree itself, its `dist` included, is left as it is. */
const SOURCES = [
  'LICENSE',
  'README.md',
  'SECURITY.md',
  'docs',
  'haraka',
  'package.json',
  'scripts',
  'src',
  'tsconfig.json',
]

const CACHE = join(ROOT, 'node_modules', '.cache', 'mta-sts')
const DAY = 86_400_000

/**
 * The tarball of the tree as it is. It is built once for all files that ask for it, also when they
 * are run side by side, and not again before something has changed.
 */
export async function packedTarball(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mta-sts-pack-'))
  try {
    for (const name of SOURCES) await cp(join(ROOT, name), join(folder, name), { recursive: true })
    const tarball = join(CACHE, `${await fingerprint(folder)}.tgz`)
    await mkdir(CACHE, { recursive: true })
    while (!existsSync(tarball)) {
      const lock = `${tarball}.lock`
      if (!(await claim(lock))) await delay(100)
      else await pack(folder, tarball).finally(() => rm(lock))
    }
    return tarball
  } finally {
    await rm(folder, { recursive: true })
  }
}

/**
 * A new, empty folder with the package installed in it, and what is named beside it, in the versions
 * that the project is developed with, aliases under their real names. The caller removes it.
 */
export async function installedPackage(...beside: string[]): Promise<string> {
  const tarball = await packedTarball()
  const folder = await mkdtemp(join(tmpdir(), 'mta-sts-user-'))
  await writeFile(join(folder, 'package.json'), '{ "private": true }\n')
  const versions = await Promise.all(beside.map(specOf))
  const quietly = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error']
  await run(['npm', 'install', ...quietly, tarball, ...versions], folder)
  return folder
}

export interface Output {
  stdout: string
  stderr: string
}

/**
 * Runs a program to its end. Rejects, with all that it wrote, when its exit status is not 0. What
 * `npx` would find in the project is taken from there.
 */
export async function run(command: readonly string[], cwd: string = ROOT): Promise<Output> {
  const [name = '', ...args] = command[0] === 'npx' ? command.slice(1) : command
  const programs = [dirname(process.execPath), join(ROOT, 'node_modules', '.bin')]
  const PATH = [...programs, process.env.PATH].join(delimiter)
  // A test runner that is run by another is not part of it
  const { NODE_OPTIONS: _, NODE_ENV: __, VITEST: ___, ...env } = process.env
  try {
    return await promisify(execFile)(name, args, { cwd, env: { ...env, PATH, NO_COLOR: '1' } })
  } catch (error) {
    const { stdout = '', stderr = '' } = error as Partial<Output>
    throw new Error(`It failed: ${command.join(' ')}\n${stdout}${stderr}`, { cause: error })
  }
}

async function pack(folder: string, tarball: string): Promise<void> {
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  await run(['npm', 'run', 'build'], folder)
  const { stdout } = await run(['npm', 'pack', '--json', '--loglevel=error'], folder)
  const packed: unknown = JSON.parse(stdout)
  const [first]: unknown[] = Array.isArray(packed) ? packed : []
  if (typeof first !== 'object' || first === null || !('filename' in first)) {
    throw new Error('npm pack has not said what it packed')
  }
  await forgetOld()
  // From another file system, maybe: first beside it, then at once
  await cp(join(folder, String(first.filename)), `${tarball}.new`)
  await rename(`${tarball}.new`, tarball)
}

/** Whether it is this process's turn; a process that has died has lost its own. */
async function claim(lock: string): Promise<boolean> {
  try {
    await writeFile(lock, String(process.pid), { flag: 'wx' })
    return true
  } catch {
    const owner = Number(await readFile(lock, 'utf8').catch(() => ''))
    if (owner > 0 && !isAlive(owner)) await rm(lock, { force: true })
    return false
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Says which tree it is, by all that is in it. */
async function fingerprint(folder: string): Promise<string> {
  const hash = createHash('sha256')
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map((file) => join(file.parentPath, file.name))
  for (const path of files.sort()) {
    hash
      .update(`${path.slice(folder.length)}\0`)
      .update(await readFile(path))
      .update('\0')
  }
  return hash.digest('hex').slice(0, 32)
}

/** Tarballs of trees that are no more. */
async function forgetOld(): Promise<void> {
  for (const name of await readdir(CACHE)) {
    const path = join(CACHE, name)
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }))
    if (Date.now() - mtimeMs > DAY) await rm(path, { force: true })
  }
}

/** Where npm has recorded what is installed under each name, aliases included. */
interface Lock {
  packages: Record<string, { name?: string; version?: string } | undefined>
}

/** What `npm install` is given for a dependency of the project, of the name that stands behind an alias. */
async function specOf(dependency: string): Promise<string> {
  const { packages }: Lock = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8'))
  const { name = dependency, version } = packages[`node_modules/${dependency}`] ?? {}
  if (version === undefined) throw new Error(`${dependency} is no dependency of the project`)
  return `${name}@${version}`
}
