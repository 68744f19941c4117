/**
 * The used parts of ZoneMTA: its hooks, its deliveries, and its configuration of zones, which no
 * hook passes on. If the sender's code differs from what is expected, the process ends.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { MtaStsError } from '../errors.js'
import type { RedisClient } from '../storage/redis-client.js'

/** An MX host with its addresses, in the form of `delivery.mx`. */
export interface ZoneMx {
  exchange: string
  priority: number
  A: string[]
  AAAA: string[]
}

/** A message to one recipient, with the fields that the plugin uses. */
export interface ZoneDelivery {
  id?: string
  seq?: string
  domain: string
  sendingZone?: string
  http?: unknown
  /** Set by plugins that choose hosts for messages */
  mx?: unknown
  mxPort?: unknown
  mxAuth?: unknown
  mxSecure?: unknown
  useLMTP?: unknown
  /** ZoneMTA's own MTA-STS is skipped */
  skipSTS?: unknown
  /** Key of ZoneMTA's pool of connections */
  connectionKey?: string | undefined
  dnsOptions?: { ignoreIPv6?: unknown }
}

/** Options of a connection; `sender:connect` may set a socket. */
export interface ConnectOptions {
  localAddress?: string
  localHostname?: string | false
  socket?: unknown
}

/** The used part of a Nodemailer `SMTPConnection`. */
export interface ZoneConnection {
  http?: unknown
  secure?: boolean
  options: { connection?: unknown; servername?: string; host?: string }
}

export interface ZoneApp {
  config: Record<string, unknown>
  db?: { redis?: RedisClient }
  manager?: { context?: string }
  logger: Record<
    'verbose' | 'info' | 'warn' | 'error',
    (prefix: string, ...text: unknown[]) => void
  >
  addHook(name: 'sender:fetch', hook: (delivery: ZoneDelivery) => Promise<void>): void
  addHook(
    name: 'sender:connect',
    hook: (delivery: ZoneDelivery, options: ConnectOptions) => Promise<void>,
  ): void
  addHook(
    name: 'sender:headers',
    hook: (delivery: ZoneDelivery, connection: ZoneConnection) => Promise<void>,
  ): void
}

/** A zone of the configuration. */
export interface Zone {
  host?: unknown
  port?: unknown
  ignoreTLS?: unknown
}

export interface ZoneHost {
  /** The zone of a delivery */
  zoneOf(delivery: ZoneDelivery): Zone
  zones(): Readonly<Record<string, Zone>>
}

const ADVICE =
  'Install a version of mta-sts that knows this ZoneMTA, or disable the plugin to run without protection'

/** Pieces of lib/sender.js that the plugin relies on. */
const EXPECTED = [
  "runHooks('sender:fetch', [delivery]",
  "runHooks('sender:connect', [delivery, connOpts]",
  "runHooks('sender:headers', [delivery, connection]",
  'delivery.skipSTS',
  'delivery.connectionKey',
  'mxOptions.mx = [].concat(delivery.mx)',
  'connection: mx.socket',
] as const

/** @throws MtaStsError that names the difference and the remedy */
export function knownHost(): ZoneHost {
  const modules = loadedModules()
  const sender = modules.find(({ filename }) => /[\\/]lib[\\/]sender\.js$/.test(filename))
  const code = sender === undefined ? '' : readFileSync(sender.filename, 'utf8')
  const missing = EXPECTED.find((text) => !code.includes(text))
  if (missing !== undefined) {
    throw new MtaStsError(
      `mta-sts does not know this ZoneMTA: lib/sender.js is without ${missing}. ${ADVICE}`,
      'EHOST',
    )
  }
  const config = modules.find(({ filename, exports }) => isConfig(filename, exports))?.exports
  // ZoneMTA reads its files again while it runs, and then has other zones
  const zones = (): Record<string, Zone> => Reflect.get(Object(config), 'zones') ?? {}
  if (!config) {
    throw new MtaStsError(
      `mta-sts does not know this ZoneMTA: its configuration has no zones. ${ADVICE}`,
      'EHOST',
    )
  }
  const own = ownZone() ?? Reflect.get(Object(Reflect.get(Object(config), 'queue')), 'defaultZone')
  return {
    zones,
    zoneOf: ({ sendingZone }) => zones()[sendingZone ?? String(own ?? 'default')] ?? {},
  }
}

interface LoadedModule {
  filename: string
  exports: unknown
}

/** Returns the modules of the CommonJS cache, which all of them share. */
function loadedModules(): LoadedModule[] {
  const { cache } = createRequire(join(process.cwd(), 'index.js'))
  return Object.values(cache).flatMap((module) => module ?? [])
}

function isConfig(filename: string, exports: unknown): boolean {
  return /[\\/]wild-config[\\/]/.test(filename) && Reflect.has(Object(exports), 'zones')
}

/** The zone of a sender process, from its command line. */
function ownZone(): string | undefined {
  const given = process.argv.find((argument) => argument.startsWith('--senderName='))
  return given?.slice('--senderName='.length)
}
