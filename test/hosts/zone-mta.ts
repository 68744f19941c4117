/**
 * A sender process of ZoneMTA, with Redis.
 *
 * @module
 */
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Daemon } from '../lab/shell.js'
import { EXEMPT } from './cases.js'
import type { ServerSetup } from './haraka.js'
import { HostProcess } from './process.js'
import type { MailServer } from './run-cases.js'

const REDIS_PORT = 6379

async function prepare(setup: ServerSetup): Promise<void> {
  const { host, folder, settings, isProtected } = setup
  await mkdir(join(folder, 'config'), { recursive: true })
  await symlink(join(host.folder, 'plugins'), join(folder, 'plugins'))
  const standard = JSON.stringify(join(host.folder, 'config', 'default.js'))
  await writeFile(join(folder, 'config', 'default.js'), `module.exports = require(${standard})\n`)
  const config = {
    dns: { caching: false },
    plugins: isProtected ? { 'modules/mta-sts/zone-mta': settings ?? defaultSettings(setup) } : {},
    queue: { mongodb: false },
    // One connection, open for a second: long enough for the next message of a case
    zones: { default: { connections: 1, connectionCache: { ttl: 1, reuseCount: 100 } } },
  }
  const text = `module.exports = ${JSON.stringify(config)}\n`
  await writeFile(join(folder, 'config', 'production.js'), text)
}

/** Redis with ZoneMTA's state, and by default the plugin's policies. */
export function startRedis(folder: string): Daemon {
  const options = ['--port', String(REDIS_PORT), '--bind', '127.0.0.1', '--save', '']
  return new Daemon('redis-server', ['redis-server', ...options], join(folder, 'redis.log'))
}

export async function zoneMta(setup: ServerSetup): Promise<MailServer> {
  const redis = startRedis(setup.folder)
  const process = await startZoneMta(setup)
  await process.report(({ what }) => what === 'ready', 'starts')
  return {
    process,
    logsTls: !setup.host.version.startsWith('3.10.'),
    async submit(domain, fields) {
      process.tell({ domain, ...fields })
    },
    async stop() {
      await process.stop()
      await redis.stop()
      await delay(50)
    },
  }
}

function defaultSettings({ ca, withDane }: ServerSetup): object {
  const overrides = Object.fromEntries(EXEMPT.map((domain) => [domain, 'off']))
  const dane = { enabled: true, servers: ['127.0.0.1'] }
  return { enabled: 'sender', ca, negativeTtl: 0, overrides, ...(withDane ? { dane } : {}) }
}

/** Starts a process, which may end at once if its settings are wrong. Redis must be running. */
export async function startZoneMta(setup: ServerSetup): Promise<HostProcess> {
  await prepare(setup)
  const { host, folder, ca, user } = setup
  const isScoped = host.package.startsWith('@')
  return new HostProcess({
    name: host.name,
    execPath: host.execPath,
    args: [fileURLToPath(new URL('zone-mta-sender.cjs', import.meta.url))],
    cwd: folder,
    env: {
      ...process.env,
      NODE_ENV: 'production',
      NODE_PATH: join(user, 'node_modules'),
      NODE_EXTRA_CA_CERTS: ca,
      ZONE_MTA: host.folder,
      ZONE_MTA_CONFIG: isScoped ? '@zone-eu/wild-config' : 'wild-config',
    },
    log: join(folder, 'zone-mta.log'),
  })
}
