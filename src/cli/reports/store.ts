/**
 * `--store` of `mta-sts reports`: a report store by its name.
 *
 * @module
 */
import { access } from 'node:fs/promises'
import { MtaStsError } from '../../errors.js'
import { escapeRemoteText } from '../../text.js'
import type { ReportStore } from '../../tlsrpt/store.js'
import { UsageError } from '../context.js'
import { connectRedis, isRedisUrl, mustHoldSomething } from '../store.js'

export interface OpenReportStore {
  store: ReportStore
  /** Ends connections as well, which a store leaves to their owner */
  close(): Promise<void>
}

/** @throws UsageError; MtaStsError where the store cannot be opened */
export async function openReportStore(
  text: string,
  prefix: string | undefined,
): Promise<OpenReportStore> {
  const path = /^sqlite:(.+)$/s.exec(text)?.[1]
  if (path !== undefined) return openSqlite(path)
  // Not the text itself: it may hold a password
  if (!isRedisUrl(text)) throw new UsageError('--store takes sqlite:PATH or redis://HOST[:PORT].')
  const { redisReportStore } = await import('../../tlsrpt/redis.js')
  const client = await connectRedis(text)
  return {
    store: redisReportStore(client, prefix === undefined ? {} : { prefix }),
    async close() {
      client.destroy()
    },
  }
}

async function openSqlite(path: string): Promise<OpenReportStore> {
  // Opening would make an empty one, and hide that the path is wrong
  await access(path).catch((cause) => {
    throw new MtaStsError(`There is no store ${escapeRemoteText(path)}.`, 'ESTOREOPEN', { cause })
  })
  if (process.getBuiltinModule('node:sqlite') !== undefined) await mustHoldSomething(path)
  const { sqliteReportStore } = await import('../../tlsrpt/sqlite.js')
  const store = sqliteReportStore(path)
  return {
    store,
    async close() {
      await store.close?.()
    },
  }
}
