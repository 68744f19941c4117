/**
 * The mail servers from the npm registry, in pinned versions, in a permanent cache.
 *
 * @module
 */
import { existsSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../lab/shell.js'
import type { HostVersion } from './versions.js'

const CACHE = fileURLToPath(new URL('../../node_modules/.cache/mta-sts-hosts/', import.meta.url))

const QUIET = { npm_config_audit: 'false', npm_config_fund: 'false', npm_config_loglevel: 'error' }

export interface InstalledHost extends HostVersion {
  /** The folder of the server's own package */
  folder: string
  /** The Node program to run it with */
  execPath: string
}

export async function installHost(host: HostVersion): Promise<InstalledHost> {
  const root = join(CACHE, host.name)
  if (!existsSync(root)) await install(host, root)
  return {
    ...host,
    folder: join(root, 'node_modules', host.package),
    execPath: host.node === undefined ? process.execPath : await nodeOfLine(host.node),
  }
}

/** Installs into a folder of another name first: an interrupted installation must not count. */
async function install({ package: name, version }: HostVersion, root: string): Promise<void> {
  const unfinished = `${root}.${process.pid}`
  await mkdir(unfinished, { recursive: true })
  await writeFile(join(unfinished, 'package.json'), '{ "private": true }\n')
  const args = ['install', '--ignore-scripts', '--omit=optional', '--no-save', `${name}@${version}`]
  await run('npm', args, { cwd: unfinished, env: { ...process.env, ...QUIET } })
  await rename(unfinished, root).catch(() => rm(unfinished, { recursive: true }))
}

/** Returns the path of another Node line, downloaded by npx if it is not cached. */
async function nodeOfLine(line: number): Promise<string> {
  const args = ['--yes', '-p', `node@${line}`, 'node', '-p', 'process.execPath']
  return (await run('npx', args, { env: { ...process.env, ...QUIET } })).trim()
}
