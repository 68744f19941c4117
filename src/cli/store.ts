/**
 * `--store`: a policy store by its name.
 *
 * @module
 */
import { access, stat } from 'node:fs/promises'
import { MtaStsError, missingPackage } from '../errors.js'
import type { PolicyStore } from '../policy/store.js'
import { escapeRemoteText } from '../text.js'
import { UsageError } from './context.js'

export interface OpenStore {
  store: PolicyStore
  /** Ends connections as well, which a store leaves to their owner */
  close(): Promise<void>
}

export const STORE_HELP = `\
  --store STORE     sqlite:PATH, redis://HOST[:PORT][/DB] or rediss://...
  --prefix P        what keys in Redis begin with; default mta-sts:`

const CONNECT_TIMEOUT = 5000

/** @throws UsageError; MtaStsError where the store cannot be opened */
export async function openStore(text: string, prefix: string | undefined): Promise<OpenStore> {
  const path = /^sqlite:(.+)$/s.exec(text)?.[1]
  if (path !== undefined) return openSqlite(path)
  if (isRedisUrl(text)) return openRedis(text, prefix)
  // Not the text itself: it may hold a password
  throw new UsageError('--store takes sqlite:PATH or redis://HOST[:PORT][/DB].')
}

/** The path of a Redis URL is the number of a database. */
export function isRedisUrl(text: string): boolean {
  if (!/^rediss?:\/\//.test(text) || !URL.canParse(text)) return false
  return /^\/?\d{0,5}$/.test(new URL(text).pathname)
}

async function openSqlite(path: string): Promise<OpenStore> {
  // Opening would make an empty one, and hide that the path is wrong
  await access(path).catch((cause) => {
    throw new MtaStsError(`There is no store ${escapeRemoteText(path)}.`, 'ESTOREOPEN', { cause })
  })
  const { sqliteStore } = await import('../policy/stores/sqlite.js')
  if (process.getBuiltinModule('node:sqlite') !== undefined) await mustHoldSomething(path)
  const store = sqliteStore(path)
  return {
    store,
    async close() {
      await store.close?.()
    },
  }
}

/** SQLite takes an empty file for a new database, and writes to it. */
export async function mustHoldSomething(path: string): Promise<void> {
  const { size } = await stat(path)
  if (size > 0) return
  throw new MtaStsError(`${escapeRemoteText(path)} is empty: it is no store.`, 'ESTOREOPEN')
}

async function openRedis(url: string, prefix: string | undefined): Promise<OpenStore> {
  const { redisStore } = await import('../policy/stores/redis.js')
  const client = await connectRedis(url)
  return {
    store: redisStore(client, prefix === undefined ? {} : { prefix }),
    async close() {
      client.destroy()
    },
  }
}

/** @throws MtaStsError where there is no package redis, or no Redis */
export async function connectRedis(url: string) {
  const { createClient } = await import('redis').catch((cause) => {
    throw missingPackage('A store in Redis', 'redis', cause)
  })
  const client = createClient({
    url,
    socket: { connectTimeout: CONNECT_TIMEOUT, reconnectStrategy: false },
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
  } catch (cause) {
    const why = escapeRemoteText(cause instanceof Error ? cause.message || cause.name : 'no answer')
    const message = `Redis at ${new URL(url).host} does not answer (${why}).`
    throw new MtaStsError(message, 'ESTOREOPEN', { cause })
  }
  return client
}
