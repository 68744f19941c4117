/**
 * A policy store in Redis, for many hosts that share one cache.
 *
 * One key for each Policy Domain, `<prefix>policy:<domain>`, holds the entry as JSON; Redis itself
 * drops it when the policy expires. One key for each lock, `<prefix>lock:<name>`.
 *
 * @module
 */

import { randomUUID } from 'node:crypto'
import {
  adapt,
  type Command,
  listReply,
  type RedisClient,
  redisTime,
  textListReply,
  textReply,
  toText,
} from '../../storage/redis-client.js'
import type { PolicyStore } from '../store.js'
import { CLOCK_TOLERANCE, decodeEntry, decodePages, encodeEntry, PAGE_SIZE } from './entry-json.js'

/** Options of {@link redisStore}. */
export interface RedisStoreOptions {
  /** What the names of all keys begin with; default `mta-sts:` */
  prefix?: string | undefined
}

/**
 * A policy store in Redis 6.2 or newer, or what speaks its language (Valkey).
 *
 * The client is yours: connect it, listen to its `error` event (node-redis throws where nobody
 * does) and disconnect it; `close()` leaves it alone. While it is disconnected, calls wait in its
 * queue or reject, as it is configured; `MtaSts` waits for a store only a short while.
 *
 * What the store survives is what your Redis survives: turn on its append-only file, and do not
 * let it evict keys (`maxmemory-policy noeviction`), or policies are lost before they expire.
 *
 * Rejections are `MtaStsError`s: code `ESTORE` where a command failed, with the client's error as
 * `cause`; `ESTOREVALUE` where a key holds what is not a stored policy.
 *
 * @throws MtaStsError with code `EREDISCLIENT` for anything but such a client; clients of a Redis
 *   Cluster or of node-redis' Sentinel are refused too.
 *
 * @example
 * import { createClient } from 'redis'
 *
 * const client = createClient({ url: 'redis://cache.example.net' })
 * client.on('error', (error) => log.warn(error))
 * await client.connect()
 * const sts = new MtaSts({ store: redisStore(client, { prefix: 'mail:' }) })
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): PolicyStore {
  const { prefix = 'mta-sts:' } = options
  const { command, keyPrefix } = adapt(client, 'redisStore', prefix)
  const policyKey = (policyDomain: string) => `${prefix}policy:${policyDomain}`

  return {
    async get(policyDomain) {
      const text = textReply('GET', await command('GET', policyKey(policyDomain)))
      return text === undefined ? undefined : decodeEntry(policyDomain, text)
    },

    async set(policyDomain, entry) {
      const text = encodeEntry(policyDomain, entry)
      const fetchedAt = String(entry.fetchedAt)
      const expiresAt = redisTime(entry.expiresAt)
      const tolerance = String(CLOCK_TOLERANCE)
      const args = [policyKey(policyDomain), text, fetchedAt, expiresAt, tolerance]
      await command('EVAL', SET_UNLESS_OLDER, '1', ...args)
    },

    async delete(policyDomain) {
      await command('DEL', policyKey(policyDomain))
    },

    list: () => decodePages(scanPages(command, policyKey(''), keyPrefix)),

    async lock(name, ttl) {
      const key = `${prefix}lock:${name}`
      const token = randomUUID()
      const reply = await command('SET', key, token, 'NX', 'PX', redisTime(ttl))
      if (toText(reply) !== 'OK') return undefined
      return async () => {
        await command('EVAL', DELETE_IF_MINE, '1', key, token)
      }
    },

    async close() {},
  }
}

/**
 * KEYS: the policy's key. ARGV: the entry, its fetchedAt, its expiresAt, the clock tolerance; all
 * in milliseconds. A script, for Redis runs it as one step: between a GET and a SET of ours another
 * host could write. What is not an entry (an old format, rubbish) is replaced.
 */
const SET_UNLESS_OLDER = `
local text = redis.call('GET', KEYS[1])
if text then
  local ok, kept = pcall(cjson.decode, text)
  if ok and type(kept) == 'table' and type(kept.fetchedAt) == 'number' then
    local time = redis.call('TIME')
    local latest = time[1] * 1000 + time[2] / 1000 + ARGV[4]
    if kept.fetchedAt > tonumber(ARGV[2]) and kept.fetchedAt <= latest then return 0 end
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[3])
return 1
`

/** KEYS: the lock's key. ARGV: the owner's token. */
const DELETE_IF_MINE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
`

/**
 * All keys that begin with `start`, with what they hold, a bounded number at a time. SCAN may name
 * a key twice while its table grows or shrinks, and may answer with more than COUNT asks for.
 */
async function* scanPages(command: Command, start: string, keyPrefix: string) {
  const pattern = `${escapeGlob(keyPrefix + start)}*`
  const seen = new Set<string>()
  let cursor = '0'
  do {
    const reply = await command('SCAN', cursor, 'MATCH', pattern, 'COUNT', String(PAGE_SIZE))
    const [next, keys] = scanReply(reply)
    const domains = keys.map((key) => key.slice(keyPrefix.length + start.length))
    const fresh = domains.filter((domain) => !seen.has(domain) && seen.add(domain))
    for (let from = 0; from < fresh.length; from += PAGE_SIZE) {
      yield await readPage(command, start, fresh.slice(from, from + PAGE_SIZE))
    }
    cursor = next
  } while (cursor !== '0')
}

async function readPage(command: Command, start: string, domains: readonly string[]) {
  const values = await command('MGET', ...domains.map((domain) => start + domain))
  const texts = Array.isArray(values) ? values : []
  return domains.flatMap((domain, index): [string, string][] => {
    const text = toText(texts[index])
    return text === undefined ? [] : [[domain, text]]
  })
}

function scanReply(reply: unknown): [cursor: string, keys: string[]] {
  const [cursor, keys]: unknown[] = Array.isArray(reply) ? reply : []
  // No cursor is the end: better a short list than an endless one
  return [
    toText(cursor) ?? '0',
    Array.isArray(keys) ? keys.flatMap((key) => toText(key) ?? []) : [],
  ]
}

function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]^-]/g, '\\$&')
}
