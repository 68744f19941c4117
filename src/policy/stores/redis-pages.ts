/**
 * Pages of entries of a policy store in Redis, found by the index of domains: the database may hold
 * millions of other keys.
 *
 * @module
 */
import {
  type Adapter,
  type Command,
  evaluate,
  listReply,
  numberReply,
  textListReply,
  textReply,
  unexpected,
} from '../../storage/redis-client.js'
import { PAGE_SIZE } from './entry-json.js'

interface Keys {
  policy(policyDomain: string): string
  due: string
}

type Page = [policyDomain: string, text: string][]

/**
 * Yields all entries. ZSCAN may name a domain twice while the index changes, and may return more
 * than COUNT.
 */
export async function* allPages(adapter: Adapter, keys: Keys): AsyncGenerator<Page> {
  const seen = new Set<string>()
  const isNew = (domain: string) => !seen.has(domain) && seen.add(domain) !== undefined
  for await (const domains of indexed(adapter.command, keys)) {
    yield* readPages(adapter.command, keys, domains.filter(isNew))
  }
  for await (const domains of unindexed(adapter, keys)) {
    yield* readPages(adapter.command, keys, domains.filter(isNew))
  }
}

/** Yields the entries that are due, the longest due first. */
export async function* duePages(
  { command }: Adapter,
  keys: Keys,
  time: number,
): AsyncGenerator<Page> {
  let from = '-inf'
  /** Domains with exactly this due time: the next page repeats them */
  let repeated = new Set<string>()
  for (;;) {
    const count = String(repeated.size + PAGE_SIZE)
    const reply = await evaluate(command, DUE, [keys.due], [from, String(time), count])
    const found = toPairs(textListReply('EVAL', reply))
    const fresh = found.filter(([domain]) => !repeated.has(domain))
    const last = fresh.at(-1)
    if (last === undefined) return
    yield* readPages(
      command,
      keys,
      fresh.map(([domain]) => domain),
    )
    from = last[1]
    repeated = new Set(found.filter(([, score]) => score === from).map(([domain]) => domain))
  }
}

/** KEYS: the index. ARGV: from, to, how many. A script returns scores as text to every client. */
const DUE = `
return redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES', 'LIMIT', 0, ARGV[3])
`

function toPairs(flat: readonly string[]): [domain: string, score: string][] {
  return flat.flatMap((domain, index) => (index % 2 === 0 ? [[domain, flat[index + 1] ?? '']] : []))
}

async function* indexed(command: Command, keys: Keys): AsyncGenerator<string[]> {
  let cursor = '0'
  do {
    const reply = await command('ZSCAN', keys.due, cursor, 'COUNT', String(PAGE_SIZE))
    const [next, items] = scanReply('ZSCAN', reply)
    yield items.filter((_, index) => index % 2 === 0)
    cursor = next
  } while (cursor !== '0')
}

/** Largest database, in keys, that is searched for entries missing in the index. */
const SMALL_DATABASE = 100_000

/** Yields entries that an earlier version or another program wrote, from a small database. */
async function* unindexed(
  { command, keyPrefix, isCluster }: Adapter,
  keys: Keys,
): AsyncGenerator<string[]> {
  if (isCluster || numberReply('DBSIZE', await command('DBSIZE')) > SMALL_DATABASE) return
  const start = keyPrefix + keys.policy('')
  let cursor = '0'
  do {
    const reply = await command('SCAN', cursor, 'MATCH', `${escapeGlob(start)}*`, 'COUNT', '1000')
    const [next, names] = scanReply('SCAN', reply)
    yield names.map((name) => name.slice(start.length))
    cursor = next
  } while (cursor !== '0')
}

function scanReply(name: string, reply: unknown): [cursor: string, items: string[]] {
  const [cursor, items] = listReply(name, reply)
  const next = textReply(name, cursor)
  if (next === undefined) throw unexpected(name, reply)
  return [next, textListReply(name, items)]
}

async function* readPages(
  command: Command,
  keys: Keys,
  domains: readonly string[],
): AsyncGenerator<Page> {
  for (let from = 0; from < domains.length; from += PAGE_SIZE) {
    yield await readPage(command, keys, domains.slice(from, from + PAGE_SIZE))
  }
}

async function readPage(command: Command, keys: Keys, domains: readonly string[]): Promise<Page> {
  const values = listReply('MGET', await command('MGET', ...domains.map(keys.policy)))
  const page: Page = []
  const gone: string[] = []
  for (const [index, domain] of domains.entries()) {
    const text = textReply('MGET', values[index])
    if (text === undefined) gone.push(domain)
    else page.push([domain, text])
  }
  if (gone.length > 0) {
    await evaluate(command, FORGET, [keys.due, ...gone.map(keys.policy)], gone)
  }
  return page
}

/** Removes domains with an expired policy from the index. KEYS: the index, the policies. */
const FORGET = `
for i = 1, #ARGV do
  if redis.call('EXISTS', KEYS[i + 1]) == 0 then redis.call('ZREM', KEYS[1], ARGV[i]) end
end
return 1
`

function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]^-]/g, '\\$&')
}
