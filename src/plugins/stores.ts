/**
 * Stores by their names in a configuration file.
 *
 * @module
 */
import { isBuiltin } from 'node:module'
import { MtaStsError } from '../errors.js'
import type { PolicyStore } from '../policy/store.js'
import type { ReportStore } from '../tlsrpt/store.js'

/** The used part of a client of the package `redis`. */
interface Client {
  sendCommand(args: string[]): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  connect(): Promise<unknown>
  destroy(): void
}

export interface OpenedStore<Store> {
  store: Store
  /** Closes the connection to Redis, which the store leaves open */
  end(): void
}

export interface StoreName {
  /** `sqlite:PATH`, `redis://HOST[:PORT][/DB]` or `rediss://...` */
  name: string
  /** Prefix of keys in Redis */
  prefix?: string | undefined
  /** Receives the errors of the connection to Redis */
  onError: (error: Error) => void
}

/** @throws MtaStsError when the name is invalid, or the file cannot be opened */
export async function openPolicyStore(name: StoreName): Promise<OpenedStore<PolicyStore>> {
  const path = sqlitePath(name)
  if (path !== undefined) {
    const { sqliteStore } = await import('../policy/stores/sqlite.js')
    return { store: sqliteStore(path), end: () => undefined }
  }
  const { redisStore } = await import('../policy/stores/redis.js')
  const client = await redisClient(name)
  return { store: redisStore(client, prefixOf(name)), end: () => client.destroy() }
}

/** @throws MtaStsError when the name is invalid, or the file cannot be opened */
export async function openReportStore(name: StoreName): Promise<OpenedStore<ReportStore>> {
  const path = sqlitePath(name)
  if (path !== undefined) {
    const { sqliteReportStore } = await import('../tlsrpt/sqlite.js')
    return { store: sqliteReportStore(path), end: () => undefined }
  }
  const { redisReportStore } = await import('../tlsrpt/redis.js')
  const client = await redisClient(name)
  return { store: redisReportStore(client, prefixOf(name)), end: () => client.destroy() }
}

function sqlitePath({ name }: StoreName): string | undefined {
  return /^sqlite:(.+)$/s.exec(name)?.[1]
}

function prefixOf({ prefix }: StoreName): { prefix?: string } {
  return prefix === undefined ? {} : { prefix }
}

/** Checks a name without opening anything. @throws MtaStsError `ECONFIG` */
export function checkStoreName(name: string): void {
  if (/^sqlite:./s.test(name)) return
  if (/^rediss?:\/\//.test(name) && URL.canParse(name)) return
  // Without the text itself, which may hold a password
  throw new MtaStsError('A store is sqlite:PATH or redis://HOST[:PORT][/DB]', 'ECONFIG')
}

/**
 * Checks that this Node and the installed packages support such a store. Nothing is opened: a
 * server may not yet be there, and Haraka may not yet run as the owner of the folder.
 *
 * @throws MtaStsError `ECONFIG`
 */
export async function checkStoreCanOpen(name: string): Promise<void> {
  if (/^rediss?:/.test(name)) await loadRedis()
  else if (!isBuiltin('node:sqlite')) {
    const message = `A store in SQLite needs Node 22.13 or newer; this is ${process.version}`
    throw new MtaStsError(message, 'ECONFIG')
  }
}

function loadRedis() {
  return import('redis').catch((cause) => {
    const message = 'For a store in Redis, install the package redis: npm install redis'
    throw new MtaStsError(message, 'ECONFIG', { cause })
  })
}

/** Connects in the background: mail does not wait for Redis, and lost connections are restored. */
async function redisClient({ name, onError }: StoreName): Promise<Client> {
  checkStoreName(name)
  const { createClient } = await loadRedis()
  const client: Client = createClient({ url: name })
  client.on('error', onError)
  client.connect().catch(onError)
  return client
}
