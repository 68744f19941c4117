/**
 * A policy store in Redis, for many hosts that share one cache.
 *
 * | key | holds |
 * | --- | --- |
 * | `<prefix>policy:<domain>` | the entry as JSON; Redis drops it when the policy expires |
 * | `<prefix>due` | the domains, sorted by the time at which their policy is to be renewed |
 * | `<prefix>removed:<domain>` | when an operator removed the policy, for a year |
 * | `<prefix>lock:<name>` | the owner of a lock |
 *
 * @module
 */

import { randomUUID } from 'node:crypto'
import { checkKnown } from '../../option-checks.js'
import {
  type Adapter,
  adapt,
  evaluate,
  type NodeRedisCluster,
  numberReply,
  type RedisClient,
  redisTime,
  textReply,
} from '../../storage/redis-client.js'
import { type PolicyStore, renewalDueAt, type StoredPolicy, startOf } from '../store.js'
import {
  CLOCK_TOLERANCE,
  checkEntry,
  decodeEntry,
  decodePages,
  REMOVAL_LIFE,
} from './entry-json.js'
import { allPages, duePages } from './redis-pages.js'

/** Options of {@link redisStore}. */
export interface RedisStoreOptions {
  /**
   * Beginning of all key names; default `mta-sts:`. A Redis Cluster needs a hash tag, `{mta-sts}:`,
   * so that all keys are on one node
   */
  prefix?: string | undefined
}

/**
 * Makes a policy store in Redis 6.2 or newer, or Valkey.
 *
 * The client is yours: connect it, listen to its `error` event (node-redis throws an unhandled one)
 * and disconnect it; `close()` does not. While it is disconnected, calls wait in its queue or
 * reject, depending on its configuration; `MtaSts` waits for a store only a short while.
 *
 * The store is as durable as your Redis: turn on its append-only file, and set
 * `maxmemory-policy noeviction`.
 *
 * Rejections are `MtaStsError`s: code `ESTORE` where a command failed, with the client's error as
 * `cause`, or where the reply is invalid; `ESTOREVALUE` where a key does not hold a stored policy.
 *
 * @throws MtaStsError with code `EREDISCLIENT` for any other client. Clients of a cluster need a
 * prefix with a hash tag; clients of node-redis' Sentinel are refused.
 *
 * @example
 * import { createClient } from 'redis'
 *
 * const client = createClient({ url: 'redis://cache.example.net' })
 * client.on('error', (error) => log.warn(error))
 * await client.connect()
 * const sts = new MtaSts({ store: redisStore(client, { prefix: 'mail:' }) })
 */
export function redisStore(
  client: RedisClient | NodeRedisCluster,
  options: RedisStoreOptions = {},
): PolicyStore {
  checkKnown(options, ['prefix'], { call: 'redisStore()' })
  const { prefix = 'mta-sts:' } = options
  const adapter: Adapter = adapt(client, 'redisStore', prefix)
  const { command } = adapter
  const keys = {
    policy: (policyDomain: string) => `${prefix}policy:${policyDomain}`,
    removed: (policyDomain: string) => `${prefix}removed:${policyDomain}`,
    due: `${prefix}due`,
  }

  return {
    async get(policyDomain) {
      const text = textReply('GET', await command('GET', keys.policy(policyDomain)))
      return text === undefined ? undefined : decodeEntry(policyDomain, text)
    },

    async set(policyDomain, entry, before) {
      const checked = checkEntry(entry, policyDomain)
      const names = [keys.policy(policyDomain), keys.removed(policyDomain), keys.due]
      const args = [policyDomain, ...setArguments(checked), ...fetchOf(before)]
      return 1 === numberReply('EVAL', await evaluate(command, SET, names, args))
    },

    async delete(policyDomain) {
      const names = [keys.policy(policyDomain), keys.removed(policyDomain), keys.due]
      await evaluate(command, DELETE, names, [policyDomain, redisTime(REMOVAL_LIFE)])
    },

    async removedAt(policyDomain) {
      const text = textReply('GET', await command('GET', keys.removed(policyDomain)))
      return text === undefined ? undefined : numberReply('GET', text)
    },

    list: () => decodePages(allPages(adapter, keys)),

    due: (time) => decodePages(duePages(adapter, keys, time)),

    async lock(name, ttl) {
      const key = `${prefix}lock:${name}`
      const token = randomUUID()
      const reply = await evaluate(command, LOCK, [key], [token, redisTime(ttl)])
      if (numberReply('EVAL', reply) !== 1) return undefined
      return async () => {
        await evaluate(command, UNLOCK, [key], [token])
      }
    },

    async close() {},
  }
}

/** The entry as JSON around its `usedAt`, which the script may raise; then its times. */
function setArguments({ usedAt, ...entry }: StoredPolicy): string[] {
  const json = JSON.stringify(entry)
  const times = { start: startOf({ usedAt, ...entry }), due: renewalDueAt(entry) }
  return [
    `${json.slice(0, -1)},"usedAt":`,
    String(usedAt),
    String(times.start),
    redisTime(entry.expiresAt),
    String(times.due),
    String(CLOCK_TOLERANCE),
  ]
}

function fetchOf(before: StoredPolicy | undefined): string[] {
  if (before === undefined) return []
  return [before.id, String(before.fetchedAt), String(startOf(before))]
}

/**
 * Decides as `replacementFor` of entry-json.ts does. Redis runs a script as one step: no other host
 * can write in between. Invalid entries are replaced.
 *
 * KEYS: the policy, its removal, the due times. ARGV: domain, JSON before `usedAt`, `usedAt`,
 * start, expiry, due time, clock tolerance; then id, fetchedAt and start of the entry that was read
 * before.
 */
const SET = `
local text = redis.call('GET', KEYS[1])
local removed = redis.call('GET', KEYS[2])
redis.call('ZSCORE', KEYS[3], ARGV[1])
local time = redis.call('TIME')
local latest = time[1] * 1000 + time[2] / 1000 + ARGV[7]
local start = tonumber(ARGV[4])
removed = removed and tonumber(removed)
if removed and removed > start and removed <= latest then return 0 end
local used = ARGV[3]
local ok, kept = pcall(cjson.decode, text or '')
if ok and type(kept) == 'table' and type(kept.fetchedAt) == 'number' then
  local begun = kept.fetchedAt
  if type(kept.startedAt) == 'number' then begun = kept.startedAt end
  local follows = ARGV[8] and kept.id == ARGV[8] and kept.fetchedAt == tonumber(ARGV[9])
    and begun == tonumber(ARGV[10])
  if not follows and begun > start and begun <= latest then return 0 end
  local before = kept.usedAt
  if type(before) == 'number' and before > tonumber(used) and before <= latest then
    used = string.format('%.17g', before)
  end
end
redis.call('SET', KEYS[1], ARGV[2] .. used .. '}', 'PXAT', ARGV[5])
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('ZADD', KEYS[3], ARGV[6], ARGV[1]) end
return 1
`

/** KEYS: as above. ARGV: the domain, the life of a removal. */
const DELETE = `
local time = redis.call('TIME')
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000), 'PX', ARGV[2])
return 1
`

/**
 * KEYS: the lock. ARGV: the owner's token, its life. A client that repeats the command because the
 * reply was lost still has the lock.
 */
const LOCK = `
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end
return 0
`

/** KEYS: the lock. ARGV: the owner's token. */
const UNLOCK = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
`
