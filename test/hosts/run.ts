/**
 * Real Haraka and ZoneMTA, by themselves and with the plugins, against a mail world on real ports
 * of a network namespace. Only the installation of the servers from npm uses the network.
 *
 * npm run test:hosts the newest of both
 * npm run test:hosts -- --all every version
 * npm run test:hosts -- --host haraka-3.0.4 some of them
 * npm run test:hosts -- --only 'wrong name' cases whose name begins so
 * npm run test:hosts -- --protected with the plugins only; --control: without them
 * npm run test:hosts -- --user FOLDER with the package in FOLDER/node_modules
 * npm run test:hosts -- --keep keeps the servers' files and logs in /tmp
 *
 * Needs root, and the programs of `test/hosts/install.sh`. Exits with status 1 when a case fails, 2
 * when the servers cannot be run here.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { run } from '../lab/shell.js'
import { installedPackage } from '../package/packed.js'
import { type InstalledHost, installHost } from './install-hosts.js'
import { MODES, type Task } from './modes.js'
import { followPage } from './page.js'
import { VERSIONS } from './versions.js'

const { values: options } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    host: { type: 'string' },
    only: { type: 'string' },
    dane: { type: 'boolean', default: false },
    'short-line': { type: 'boolean', default: false },
    page: { type: 'boolean', default: false },
    user: { type: 'string' },
    keep: { type: 'boolean', default: false },
    control: { type: 'boolean', default: false },
    protected: { type: 'boolean', default: false },
  },
})

async function main(): Promise<number> {
  for (const what of await missing()) {
    console.error(`test:hosts: ${what}`)
    return 2
  }
  const chosen = VERSIONS.filter(({ name, newest }) =>
    options.host === undefined ? options.all || newest : options.host.split(',').includes(name),
  )
  if (chosen.length === 0) {
    console.error(`test:hosts: --host takes ${VERSIONS.map(({ name }) => name).join(', ')}`)
    return 2
  }
  const hosts: InstalledHost[] = []
  for (const host of chosen) hosts.push(await installHost(host))
  const folder = await mkdtemp(join(tmpdir(), 'mta-sts-hosts-'))
  const modes = MODES.filter((mode) => options[mode])
  const task = {
    hosts,
    folder,
    user: '',
    pages: {},
    only: options.only,
    modes: modes.length > 0 ? modes : [...MODES],
  } as Task
  const needed =
    task.modes.some((mode) => mode !== 'control' && mode !== 'page') && options.user === undefined
  const user = needed ? await installedPackage('dns-packet') : (options.user ?? folder)
  try {
    task.user = user
    for (const host of task.modes.includes('page') ? hosts : []) {
      if (host.kind === 'haraka' && host.newest) {
        task.pages[host.name] = await followPage(host, join(folder, 'page'))
      }
    }
    await writeFile(join(folder, 'task.json'), JSON.stringify(task))
    return await inNamespace(folder)
  } finally {
    if (needed) await rm(user, { recursive: true })
    if (options.keep) console.log(`The servers' files are in ${folder}`)
    else await rm(folder, { recursive: true })
  }
}

/** Runs `inside.ts` in a namespace with free ports and the world's name server. */
async function inNamespace(folder: string): Promise<number> {
  const resolv = join(folder, 'resolv.conf')
  await writeFile(resolv, 'nameserver 127.0.0.1\noptions timeout:1 attempts:2\n')
  const script =
    'ip link set lo up && mount --bind "$0" "$(readlink -f /etc/resolv.conf)" && exec "$@"'
  const inside = fileURLToPath(new URL('inside.ts', import.meta.url))
  const tsx = fileURLToPath(new URL('../../node_modules/.bin/tsx', import.meta.url))
  const command = [
    '--net',
    '--mount',
    '--pid',
    '--fork',
    '--kill-child',
    'sh',
    '-c',
    script,
    resolv,
  ]
  const child = spawn('unshare', [...command, tsx, inside, folder], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child.kill())
  const [status] = await once(child, 'exit')
  return typeof status === 'number' ? status : 1
}

async function missing(): Promise<string[]> {
  if (process.platform !== 'linux') return ['It needs Linux: it makes a network namespace.']
  if (process.getuid?.() !== 0) return ['It needs root: it makes a network namespace.']
  const absent: string[] = []
  for (const program of ['ip', 'unshare', 'redis-server']) {
    const path = await run('sh', ['-c', `command -v ${program}`]).catch(() => undefined)
    if (path === undefined) absent.push(program)
  }
  if (absent.length === 0) return []
  return [`${absent.join(', ')}: not there. Run test/hosts/install.sh first (Debian packages).`]
}

process.exitCode = await main()
