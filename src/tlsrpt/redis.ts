/**
 * A report store in Redis, for many hosts that report as one sender.
 *
 * What is counted for a domain and day is one hash: `n` is the number of policies, `p:<key>` a
 * policy, `s:<key>` its successes, `n:<key>` the number of failures told apart, `f:<key>:<failure>`
 * the sessions of one of them. Sealed, it is renamed, and becomes the report: `day`, `domain`,
 * `progress` and `claim` stand beside the counts.
 *
 * @module
 */
import { randomUUID } from 'node:crypto'
import { adapt, type Command, type RedisClient, toText } from '../policy/stores/redis.js'
import {
  type DomainCounts,
  type PolicyCounts,
  policyKey,
  readFailure,
  readPolicy,
  unreadable,
  withoutDetails,
  writeOthers,
} from './counts.js'
import { DAY, startOf } from './day.js'
import { type ClaimedReport, type ReportStore, readProgress } from './store.js'

/** Options of {@link redisReportStore}. */
export interface RedisReportStoreOptions {
  /** What the names of all keys begin with; default `mta-sts:` */
  prefix?: string | undefined
}

/**
 * A report store in Redis 6.2 or newer, or what speaks its language (Valkey). The client is yours:
 * connect it, listen to its `error` event and disconnect it; `close()` leaves it alone.
 *
 * What the store survives is what your Redis survives: turn on its append-only file, and do not
 * let it evict keys (`maxmemory-policy noeviction`). When the connection breaks while counts are
 * written, those of a few seconds may be counted twice.
 *
 * Rejections are `MtaStsError`s: code `ESTORE` where a command failed, with the client's error as
 * `cause`; `ESTOREVALUE` where a key holds what is not counts.
 *
 * @throws MtaStsError with code `EREDISCLIENT` for anything but a client of `redis` or `ioredis`;
 *   clients of a Redis Cluster or of node-redis' Sentinel are refused too.
 *
 * @example
 * const store = redisReportStore(client, { prefix: 'mail:' })
 */
export function redisReportStore(
  client: RedisClient,
  options: RedisReportStoreOptions = {},
): ReportStore {
  const { command } = adapt(client, 'redisReportStore')
  const keys = keysBelow(`${options.prefix ?? 'mta-sts:'}tlsrpt:`)
  return {
    async add(counts, limits) {
      if (counts.length === 0) return
      const hashes = counts.map(({ day, domain }) => keys.counted(day, domain))
      const args = [JSON.stringify(limits), ...counts.map(addition)]
      await evaluate(command, ADD, [keys.days, ...hashes], args)
    },

    async seal(day, plan) {
      // Scored by day: those before this one, a page at a time
      for await (const [of, domain] of endedDays(command, keys.days, startOf(day) / DAY)) {
        const { id, notBefore } = plan(of, domain)
        const sources = [keys.days, keys.counted(of, domain)]
        const targets = [keys.waiting, keys.report(id)]
        const args = [member(of, domain), id, of, domain, String(notBefore)]
        await evaluate(command, SEAL, [...sources, ...targets], args)
      }
    },

    async claim({ now, until, early }) {
      const claim = randomUUID()
      for (;;) {
        const ids = [
          ...(await firstOf(command, keys.due, String(now))),
          ...(await firstOf(command, keys.waiting, early ? '+inf' : String(now))),
        ]
        if (ids.length === 0) return undefined
        for (const id of shuffled(ids)) {
          const names = [keys.due, keys.waiting, keys.report(id)]
          const args = [id, String(now), String(until), claim, early ? '1' : '0']
          const reply = await evaluate(command, CLAIM, names, args)
          if (Array.isArray(reply)) return claimed(id, claim, reply)
        }
      }
    },

    async save({ id, claim }, progress, until) {
      const args = [id, claim, JSON.stringify(progress), String(until)]
      return 1 === (await evaluate(command, SAVE, [keys.due, keys.report(id)], args))
    },

    async remove({ id, claim }) {
      return 1 === (await evaluate(command, REMOVE, [keys.due, keys.report(id)], [id, claim]))
    },

    async close() {},
  }
}

/** Ids that are looked at together: processes that claim at the same time take different ones. */
const CHOICE = 10

const PAGE_SIZE = 100

function keysBelow(prefix: string) {
  return {
    /** Days and domains that something is counted for, by day */
    days: `${prefix}days`,
    /** Ids of reports that nobody has claimed yet, by the time at which they are to be sent */
    waiting: `${prefix}waiting`,
    /** Ids of the others, by the time at which they may be claimed again */
    due: `${prefix}due`,
    counted: (day: string, domain: string) => `${prefix}counted:${member(day, domain)}`,
    report: (id: string) => `${prefix}report:${id}`,
  }
}

function member(day: string, domain: string): string {
  return `${day} ${domain}`
}

/**
 * KEYS: the days, then a hash for each of what is added. ARGV: the limits, then what is added to
 * each. The first policies and failures are told apart, the rest goes to `others`.
 */
const ADD = `
local limits = cjson.decode(ARGV[1])
local function room(hash, counter, field, limit)
  if redis.call('HEXISTS', hash, field) == 1 then return true end
  if tonumber(redis.call('HGET', hash, counter) or 0) >= limit then return false end
  redis.call('HINCRBY', hash, counter, 1)
  return true
end
for i = 2, #ARGV do
  local hash = KEYS[i]
  local added = cjson.decode(ARGV[i])
  for _, policy in ipairs(added.policies) do
    local shown = policy
    if not room(hash, 'n', 'p:' .. policy.key, limits.maxPolicies) then shown = policy.others end
    redis.call('HSETNX', hash, 'p:' .. shown.key, shown.text)
    redis.call('HINCRBY', hash, 's:' .. shown.key, policy.successes)
    for _, failure in ipairs(policy.failures) do
      local start = 'f:' .. shown.key .. ':'
      local field = start .. failure.text
      local others = start .. failure.others
      if field ~= others and not room(hash, 'n:' .. shown.key, field, limits.maxFailures) then
        field = others
      end
      redis.call('HINCRBY', hash, field, failure.sessions)
    end
  end
  redis.call('ZADD', KEYS[1], added.number, added.member)
end
return 1
`

/** KEYS: the days, the counts, the waiting, the report. ARGV: see `seal`. */
const SEAL = `
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('RENAME', KEYS[2], KEYS[4])
redis.call('HSET', KEYS[4], 'day', ARGV[3], 'domain', ARGV[4])
redis.call('ZADD', KEYS[3], ARGV[5], ARGV[2])
return 1
`

/** KEYS: the due, the waiting, the report. ARGV: id, now, until, the claim, whether early. */
const CLAIM = `
local waiting = redis.call('ZSCORE', KEYS[2], ARGV[1])
local score = waiting or redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score then return 0 end
if tonumber(score) > tonumber(ARGV[2]) and not (waiting and ARGV[5] == '1') then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
  return 0
end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
redis.call('HSET', KEYS[3], 'claim', ARGV[4])
return redis.call('HGETALL', KEYS[3])
`

/** KEYS: the due, the report. ARGV: id, the claim, the progress, until. */
const SAVE = `
if redis.call('HGET', KEYS[2], 'claim') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[2], 'progress', ARGV[3])
redis.call('ZADD', KEYS[1], ARGV[4], ARGV[1])
return 1
`

/** KEYS: the due, the report. ARGV: id, the claim. */
const REMOVE = `
if redis.call('HGET', KEYS[2], 'claim') ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return 1
`

function evaluate(
  command: Command,
  script: string,
  keys: readonly string[],
  args: readonly string[],
): Promise<unknown> {
  return command('EVAL', script, String(keys.length), ...keys, ...args)
}

/** What is added for one domain, with all that the script needs to know of it. */
function addition({ day, domain, policies }: DomainCounts): string {
  return JSON.stringify({
    number: startOf(day) / DAY,
    member: member(day, domain),
    policies: policies.map(({ key, policy, successes, failures }) => {
      const others = withoutDetails(policy)
      return {
        key,
        text: JSON.stringify(policy),
        others: { key: policyKey(others), text: JSON.stringify(others) },
        successes,
        failures: failures.map(([text, sessions]) => ({
          text,
          others: writeOthers(readFailure(text).resultType),
          sessions,
        })),
      }
    }),
  })
}

/** Days before one (by number) with the domains that something is counted for. */
async function* endedDays(
  command: Command,
  key: string,
  before: number,
): AsyncGenerator<[day: string, domain: string]> {
  for (;;) {
    const range = ['-inf', `(${before}`, 'LIMIT', '0', String(PAGE_SIZE)]
    const members = texts(await command('ZRANGEBYSCORE', key, ...range))
    for (const text of members) {
      const [day = '', domain = ''] = text.split(' ')
      yield [day, domain]
    }
    // Each was taken out as it was sealed, so what comes next are others
    if (members.length < PAGE_SIZE) return
  }
}

async function firstOf(command: Command, key: string, latest: string): Promise<string[]> {
  return texts(await command('ZRANGEBYSCORE', key, '-inf', latest, 'LIMIT', '0', String(CHOICE)))
}

/** Of the fields and values that a hash is made of. */
function claimed(id: string, claim: string, reply: readonly unknown[]): ClaimedReport {
  const hash = new Map<string, string>()
  for (let index = 0; index < reply.length; index += 2) {
    hash.set(toText(reply[index]) ?? '', toText(reply[index + 1]) ?? '')
  }
  const day = hash.get('day')
  const domain = hash.get('domain')
  if (day === undefined || domain === undefined) throw unreadable('a report has no day or domain')
  const progress = readProgress(hash.get('progress'))
  return { id, day, domain, policies: policiesOf(hash), progress, claim }
}

function policiesOf(hash: ReadonlyMap<string, string>): PolicyCounts[] {
  const failures = new Map<string, [string, number][]>()
  for (const [field, value] of hash) {
    const [, key, text] = /^f:([^:]*):(.*)$/s.exec(field) ?? []
    if (key === undefined || text === undefined) continue
    const list = failures.get(key)
    if (list) list.push([text, Number(value)])
    else failures.set(key, [[text, Number(value)]])
  }
  return [...hash]
    .filter(([field]) => field.startsWith('p:'))
    .map(([field, text]) => {
      const key = field.slice(2)
      const successes = Number(hash.get(`s:${key}`) ?? 0)
      return { key, policy: readPolicy(text), successes, failures: failures.get(key) ?? [] }
    })
}

function texts(reply: unknown): string[] {
  return Array.isArray(reply) ? reply.flatMap((item) => toText(item) ?? []) : []
}

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}
