/**
 * A report store in Redis, for many hosts that report as one sender.
 *
 * | key below `<prefix>tlsrpt:` | holds |
 * | --- | --- |
 * | `counted:<day> <domain>` | a hash of counts: see `redis-hash.ts` |
 * | `report:<id>` | the same, closed, with `day`, `domain`, `progress` and `claim` |
 * | `days` | the counted days and domains, sorted by day |
 * | `waiting` | reports that were never claimed, sorted by sending time |
 * | `due` | the others, sorted by the time of the next claim |
 * | `writer:<name>` | the last portion of a process, for a week |
 *
 * @module
 */
import { randomUUID } from 'node:crypto'
import { MtaStsError } from '../errors.js'
import { publish } from '../events.js'
import { checkKnown } from '../option-checks.js'
import {
  adapt,
  type Command,
  evaluate,
  type NodeRedisCluster,
  numberReply,
  type RedisClient,
  textListReply,
  unexpected,
} from '../storage/redis-client.js'
import { escapeRemoteText } from '../text.js'
import { unreadable } from './counts.js'
import { DAY, startOf } from './day.js'
import { addition, claimedReport } from './redis-hash.js'
import { listReports, readStored } from './redis-list.js'
import { ADD, CLAIM, HURRY, REMOVE, SAVE, SEAL } from './redis-scripts.js'
import { type ClaimedReport, LONGEST_CLAIM, type ReportStore } from './store.js'

/** Options of {@link redisReportStore}. */
export interface RedisReportStoreOptions {
  /**
   * Beginning of all key names; default `mta-sts:`. A Redis Cluster needs a hash tag, `{mta-sts}:`,
   * so that all keys are on one node
   */
  prefix?: string | undefined
}

/**
 * Makes a report store in Redis 6.2 or newer, or Valkey. The client is yours: connect it, listen to
 * its `error` event and disconnect it; `close()` does not.
 *
 * The store is as durable as your Redis: turn on its append-only file, and set
 * `maxmemory-policy noeviction`. Counts are added once, even if the client sends them again.
 *
 * Rejections are `MtaStsError`s: code `ESTORE` where a command failed, with the client's error as
 * `cause`; `ESTOREVALUE` where a key does not hold counts.
 *
 * @throws MtaStsError with code `EREDISCLIENT`, as `redisStore` of `mta-sts/redis` does
 *
 * @example
 * const store = redisReportStore(client, { prefix: 'mail:' })
 */
export function redisReportStore(
  client: RedisClient | NodeRedisCluster,
  options: RedisReportStoreOptions = {},
): ReportStore {
  checkKnown(options, ['prefix'], { call: 'redisReportStore()' })
  const prefix = options.prefix ?? 'mta-sts:'
  const { command } = adapt(client, 'redisReportStore', prefix)
  const keys = keysBelow(`${prefix}tlsrpt:`)

  const remove = async (id: string, claim: string) => {
    const names = [keys.due, keys.waiting, keys.report(id)]
    return 1 === numberReply('EVAL', await evaluate(command, REMOVE, names, [id, claim]))
  }

  return {
    async add(counts, limits, portion) {
      if (counts.length === 0) return
      const hashes = counts.map(({ day, domain }) => keys.counted(day, domain))
      const names = [keys.writer(portion?.writer ?? ''), keys.days, ...hashes]
      const args = [JSON.stringify(limits), String(portion?.number ?? ''), WEEK]
      const reply = await evaluate(command, ADD, names, [...args, ...counts.map(addition)])
      const wrong = numberReply('EVAL', reply)
      if (wrong === 0) return
      const what = counts[wrong - 1]
      if (what === undefined) throw wrongType(keys.days)
      throw unreadable(`the counts of ${what.domain} on ${what.day} are not a hash`)
    },

    async seal(day, plan) {
      let problem: MtaStsError | undefined
      const sealOne = async ([of, domain]: [day: string, domain: string]) => {
        const { id, notBefore } = plan(of, domain)
        const names = [keys.days, keys.counted(of, domain), keys.waiting, keys.report(id)]
        const args = [member(of, domain), id, of, domain, String(notBefore)]
        const reply = numberReply('EVAL', await evaluate(command, SEAL, names, args))
        if (reply === 0) problem ??= unreadable(`the counts of ${domain} on ${of} are not a hash`)
      }
      for await (const page of endedDays(command, keys.days, startOf(day) / DAY)) {
        await Promise.all(page.map(sealOne))
      }
      if (problem !== undefined) throw problem
    },

    async claim({ now, until, early }) {
      const claim = randomUUID()
      const latest = now + LONGEST_CLAIM
      for (;;) {
        const ids = [
          ...(await idsOf(command, keys.due, '-inf', String(now))),
          ...(await idsOf(command, keys.waiting, '-inf', early ? '+inf' : String(now))),
          ...(await idsOf(command, keys.due, `(${latest}`, '+inf')),
        ]
        if (ids.length === 0) return undefined
        for (const id of shuffled(ids)) {
          const names = [keys.due, keys.waiting, keys.report(id)]
          const times = [String(now), String(until)]
          const args = [id, ...times, claim, early ? '1' : '0', String(latest)]
          const reply = await evaluate(command, CLAIM, names, args)
          if (Array.isArray(reply)) return claimedReport(id, claim, textListReply('EVAL', reply))
          const number = numberReply('EVAL', reply)
          if (number !== 0 && number !== 1) throw unexpected('EVAL', reply)
          if (number === 0) tellNoReport(keys.report(id))
        }
      }
    },

    async save({ id, claim }, progress, until) {
      const args = [id, claim, JSON.stringify(progress), String(until)]
      const reply = await evaluate(command, SAVE, [keys.due, keys.report(id)], args)
      return 1 === numberReply('EVAL', reply)
    },

    remove: ({ id, claim }: ClaimedReport) => remove(id, claim),

    list: () => listReports(command, keys),

    async makeDue(id, time) {
      const hurry = async (key: string) =>
        1 === numberReply('EVAL', await evaluate(command, HURRY, [key], [id, String(time)]))
      if (await hurry(keys.waiting)) return true
      const report = await readStored(command, keys.report(id))
      return report?.progress.problem !== undefined && hurry(keys.due)
    },

    drop: (id) => remove(id, ''),

    async close() {},
  }
}

const WEEK = '604800000'

/** Number of ids read together: processes that claim at the same time choose different ones. */
const CHOICE = 10

const PAGE_SIZE = 100

function keysBelow(prefix: string) {
  return {
    days: `${prefix}days`,
    waiting: `${prefix}waiting`,
    due: `${prefix}due`,
    counted: (day: string, domain: string) => `${prefix}counted:${member(day, domain)}`,
    report: (id: string) => `${prefix}report:${id}`,
    writer: (name: string) => `${prefix}writer:${name}`,
  }
}

function member(day: string, domain: string): string {
  return `${day} ${domain}`
}

/** Yields the counts of days before one (by number), page by page. */
async function* endedDays(
  command: Command,
  key: string,
  before: number,
): AsyncGenerator<[day: string, domain: string][]> {
  for (;;) {
    const range = ['-inf', `(${before}`, 'LIMIT', '0', String(PAGE_SIZE)]
    const reply = await command('ZRANGEBYSCORE', key, ...range)
    const members = textListReply('ZRANGEBYSCORE', reply)
    yield members.map((text) => {
      const [day = '', domain = ''] = text.split(' ')
      return [day, domain]
    })
    // Each was removed when it was sealed, so the next page has others
    if (members.length < PAGE_SIZE) return
  }
}

async function idsOf(command: Command, key: string, from: string, to: string): Promise<string[]> {
  const reply = await command('ZRANGEBYSCORE', key, from, to, 'LIMIT', '0', String(CHOICE))
  return textListReply('ZRANGEBYSCORE', reply)
}

function wrongType(key: string): MtaStsError {
  return new MtaStsError(
    `The store in Redis failed: the key ${escapeRemoteText(key)} has a wrong type. Find out what else writes to this store.`,
    'ESTORE',
  )
}

function tellNoReport(key: string): void {
  const error = new MtaStsError(
    `The key ${escapeRemoteText(key)} in the report store is no report. It is left alone. Find out what else writes to this store.`,
    'ESTOREVALUE',
  )
  publish('mta-sts:store-failure', () => ({ operation: 'tlsrpt claim', error }))
}

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}
