/**
 * The list of a report store's content in Redis, for operators.
 *
 * @module
 */
import {
  type Command,
  evaluate,
  listReply,
  textListReply,
  textReply,
} from '../storage/redis-client.js'
import { DAY, dayOf } from './day.js'
import { NO_PROGRESS, readProgress, type StoredReport, stateOf } from './store.js'

interface Keys {
  days: string
  waiting: string
  due: string
  report(id: string): string
}

const PAGE_SIZE = 100

export async function* listReports(command: Command, keys: Keys): AsyncGenerator<StoredReport> {
  const seen = new Set<string>()
  const isNew = (name: string) => !seen.has(name) && seen.add(name) !== undefined
  for await (const [name, score] of members(command, keys.days)) {
    const domain = name.slice(name.indexOf(' ') + 1)
    if (isNew(name)) {
      yield { day: dayOf(score * DAY), domain, state: 'counting', progress: NO_PROGRESS }
    }
  }
  for (const key of [keys.waiting, keys.due]) {
    for await (const [id, notBefore] of members(command, key)) {
      const report = isNew(id) ? await readStored(command, keys.report(id)) : undefined
      if (report === undefined) continue
      const state = stateOf(report.progress, key === keys.due)
      yield { id, ...report, state, notBefore }
    }
  }
}

/** KEYS: the report. Returns nothing if it is gone or invalid. */
const READ = `
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return {} end
return redis.call('HMGET', KEYS[1], 'day', 'domain', 'progress')
`

/** Returns a report without its counts; undefined if it is gone or invalid. */
export async function readStored(
  command: Command,
  key: string,
): Promise<Pick<StoredReport, 'day' | 'domain' | 'progress'> | undefined> {
  const reply = listReply('EVAL', await evaluate(command, READ, [key], []))
  const [day = '', domain = '', progress] = reply.map((item) => textReply('EVAL', item))
  return reply.length === 0 ? undefined : { day, domain, progress: readProgress(progress) }
}

async function* members(
  command: Command,
  key: string,
): AsyncGenerator<[name: string, score: number]> {
  let cursor = '0'
  do {
    const reply = await command('ZSCAN', key, cursor, 'COUNT', String(PAGE_SIZE))
    const [next, items] = listReply('ZSCAN', reply)
    const flat = textListReply('ZSCAN', items)
    for (let index = 0; index < flat.length; index += 2) {
      yield [flat[index] ?? '', Number(flat[index + 1])]
    }
    cursor = textReply('ZSCAN', next) ?? '0'
  } while (cursor !== '0')
}
