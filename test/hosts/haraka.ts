/**
 * A Haraka that accepts every message on port 2525 of loopback and delivers it.
 *
 * @module
 */
import { copyFile, cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import nodemailer from 'nodemailer'
import { run } from '../lab/shell.js'
import { EXEMPT, WITH_TLS, WITHOUT_TLS } from './cases.js'
import type { InstalledHost } from './install-hosts.js'
import { HostProcess } from './process.js'
import type { MailServer } from './run-cases.js'

export interface ServerSetup {
  host: InstalledHost
  /** An empty folder */
  folder: string
  /** The parent of the node_modules with the package */
  user: string
  /** PEM file with the root of the world */
  ca: string
  /** The plugin's settings: config/mta-sts.ini, or the object in ZoneMTA's configuration */
  settings?: string | object
  /** Lines of Haraka's config/plugins; default: those of the plugin's page */
  plugins?: readonly string[]
  isProtected: boolean
  /** Whether DANE is enabled */
  withDane?: true
  /** The folder is already an instance with the plugin's line */
  isSetUp?: true
}

const PORT = 2525

/** The files of an instance, as `haraka -i` and the page on Haraka make them. */
async function prepare(setup: ServerSetup): Promise<void> {
  const { folder, settings } = setup
  if (!setup.isSetUp) {
    await run(setup.host.execPath, [program(setup.host), '--force', '-i', folder])
  }
  await mkdir(join(folder, 'plugins'), { recursive: true })
  const observer = fileURLToPath(new URL('haraka-observer.cjs', import.meta.url))
  await copyFile(observer, join(folder, 'plugins', 'observer.js'))
  const { plugins = setup.isProtected ? ['mta-sts/haraka'] : [] } = setup
  const lines = setup.isSetUp ? ['mta-sts/haraka'] : plugins
  if (setup.isSetUp) await checkLine(folder)
  const files = {
    plugins: `${['observer', ...lines].join('\n')}\n`,
    me: 'sender.example\n',
    'smtp.ini': `listen=127.0.0.1:${PORT}\nnodes=0\n`,
    'log.ini': 'level=debug\n',
    loglevel: 'debug\n',
    'outbound.ini': 'enable_tls=true\nlocal_mx_ok=true\n',
    'tls.ini': `[outbound]\n${listOf('no_tls_hosts', WITHOUT_TLS)}${listOf('force_tls_hosts', WITH_TLS)}`,
    'mta-sts.ini': typeof settings === 'string' ? settings : defaultSettings(setup),
  }
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(folder, 'config', name), text)
  }
  if (setup.isProtected && !setup.isSetUp) {
    await cp(join(setup.user, 'node_modules'), join(folder, 'node_modules'), { recursive: true })
  }
}

export async function haraka(setup: ServerSetup): Promise<MailServer & { sendsBounces: true }> {
  const process = await startHaraka(setup)
  await process.report(({ what }) => what === 'ready', 'starts')
  await process.until('listens', isListening)
  const transport = nodemailer.createTransport({ host: '127.0.0.1', port: PORT, ignoreTLS: true })
  return {
    process,
    sendsBounces: true,
    logsTls: true,
    async submit(domain) {
      const mail = { from: 'me@sender.example', to: `b@${domain}`, subject: 'hello', text: 'hello' }
      await transport.sendMail(mail)
    },
    async stop() {
      transport.close()
      await process.stop()
    },
  }
}

function listOf(setting: string, domains: readonly string[]): string {
  return domains.map((domain) => `${setting}[]=${domain}\n`).join('')
}

/** Waits until Haraka listens, shortly after it reports its start. */
function isListening(): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port: PORT })
  return new Promise((resolve) => {
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

/** Removes the plugins that `haraka -i` lists; checks that the plugin's line is there. */
async function checkLine(folder: string): Promise<void> {
  const lines = (await readFile(join(folder, 'config', 'plugins'), 'utf8')).split('\n')
  if (!lines.includes('mta-sts/haraka')) throw new Error('config/plugins has no line of the plugin')
}

function defaultSettings({ ca, withDane }: ServerSetup): string {
  const exempt = EXEMPT.map((domain) => `${domain}=off\n`).join('')
  const dane = withDane ? '[dane]\nenabled=true\nservers=127.0.0.1\n' : ''
  return `ca=${ca}\nnegativeTtl=0\n[overrides]\n${exempt}${dane}`
}

function program({ folder }: InstalledHost): string {
  return join(folder, 'bin', 'haraka')
}

/** Starts a process, which may end at once if its settings are wrong. */
export async function startHaraka(setup: ServerSetup): Promise<HostProcess> {
  await prepare(setup)
  const { host, folder, ca } = setup
  return new HostProcess({
    name: host.name,
    execPath: host.execPath,
    args: [program(host), '-c', folder],
    cwd: folder,
    env: { ...process.env, NODE_EXTRA_CA_CERTS: ca },
    log: join(folder, 'haraka.log'),
  })
}
