/**
 * A policy store in Redis, for many hosts that share one cache.
 *
 * One key for each Policy Domain, `<prefix>policy:<domain>`, holds the entry as JSON; Redis itself
 * drops it when the policy expires. One key for each lock, `<prefix>lock:<name>`.
 *
 * @module
 */

import { randomUUID } from 'node:crypto'
import { MtaStsError } from '../../errors.js'
import { escapeRemoteText, textOfThrown } from '../../text.js'
import type { PolicyStore } from '../store.js'
import { CLOCK_TOLERANCE, decodeEntry, decodePages, encodeEntry, PAGE_SIZE } from './entry-json.js'

/** What is used of a client of the package `redis`, made by `createClient` or `createClientPool`. */
export interface NodeRedisClient {
  /** Sends one command, its name first; resolves to the reply */
  sendCommand(args: string[]): Promise<unknown>
}

/** What is used of a client of the package `ioredis`, made by `new Redis()`. */
export interface IoRedisClient {
  /** Sends one command; resolves to the reply */
  call(command: string, ...args: string[]): Promise<unknown>
  /** With a `keyPrefix`, ioredis puts that before every key; the store minds it */
  options?: { keyPrefix?: string | undefined }
}

/** A client of `redis` (node-redis) or of `ioredis`. */
export type RedisClient = NodeRedisClient | IoRedisClient

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
  const { command, keyPrefix } = adapt(client, 'redisStore')
  const policyKey = (policyDomain: string) => `${prefix}policy:${policyDomain}`

  return {
    async get(policyDomain) {
      const text = toText(await command('GET', policyKey(policyDomain)))
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

export type Command = (name: string, ...args: string[]) => Promise<unknown>

export interface Adapter {
  command: Command
  /** What the client puts before every key by itself; it comes back in the replies to SCAN */
  keyPrefix: string
}

/**
 * Makes one of the two kinds of client. ioredis has a `sendCommand` too, so `call` decides.
 *
 * @param who the function that was given the client, for the error
 */
export function adapt(client: RedisClient, who: string): Adapter {
  const notAClient = (why: string) => clientError(who, why)
  if (typeof client !== 'object' || client === null) throw notAClient('it is none')
  if (isCluster(client)) throw notAClient('clients of a cluster or of Sentinel are not supported')
  if ('call' in client && typeof client.call === 'function') {
    const command = withContext((name, ...args) => client.call(name, ...args))
    return { command, keyPrefix: client.options?.keyPrefix ?? '' }
  }
  if ('sendCommand' in client && typeof client.sendCommand === 'function') {
    return { command: withContext((...args) => client.sendCommand(args)), keyPrefix: '' }
  }
  throw notAClient('it has neither sendCommand() nor call()')
}

/**
 * ioredis says so itself. In node-redis, the `sendCommand` of a cluster or of Sentinel takes a key
 * or a flag before the arguments (four and three parameters; two in a plain client or a pool).
 */
function isCluster(client: object): boolean {
  if ('isCluster' in client && client.isCluster === true) return true
  if ('call' in client || !('sendCommand' in client)) return false
  return typeof client.sendCommand === 'function' && client.sendCommand.length > 2
}

function clientError(who: string, why: string): MtaStsError {
  return new MtaStsError(
    `${who}() needs a client of 'redis' (createClient) or 'ioredis' (new Redis): ${why}.`,
    'EREDISCLIENT',
  )
}

/** An error of the client says neither where it comes from nor what it means for the mail. */
function withContext(send: Command): Command {
  return async (name, ...args) => {
    try {
      return await send(name, ...args)
    } catch (error) {
      const why = escapeRemoteText(textOfThrown(error))
      throw new MtaStsError(
        `The store in Redis failed at ${name}: ${why}. Check the server and the client's connection.`,
        'ESTORE',
        { cause: error },
      )
    }
  }
}

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

/** A string reply, which a client may be set up to bring as a Buffer. Undefined: none. */
export function toText(reply: unknown): string | undefined {
  if (typeof reply === 'string') return reply
  if (reply instanceof Uint8Array) return Buffer.from(reply).toString('utf8')
  return undefined
}

function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]^-]/g, '\\$&')
}

/** Redis takes whole, positive milliseconds. A time in the past makes it delete the key at once. */
function redisTime(milliseconds: number): string {
  return String(Math.max(1, Math.ceil(milliseconds)))
}
