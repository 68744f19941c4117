import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import { Redis as IoRedis, Cluster as IoRedisCluster } from 'ioredis'
import { createClient, createClientPool, createCluster, createSentinel, RESP_TYPES } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { MtaStsError } from '../../../src/errors.js'
import { redisStore } from '../../../src/policy/stores/redis.js'
import type { RedisClient } from '../../../src/storage/redis-client.js'
import { thrownBy } from '../../support/thrown.js'
import { conformance } from './conformance.js'
import { DAY, dueOf, entry, HOUR, listed, listOf, lockOf, mustLock } from './helpers.js'
import { RedisServer, whyNoRedis } from './redis-server.js'

function clientTests(): void {
  describe('redisStore: kinds of clients', () => {
    function refusalOf(client: unknown): MtaStsError {
      const error = thrownBy(() => redisStore(client as RedisClient))
      if (!(error instanceof MtaStsError)) throw error
      expect(error.code).toBe('EREDISCLIENT')
      return error
    }

    it('refuses anything but a client at once', () => {
      for (const other of [{}, new EventEmitter(), { call: 5 }, { sendCommand: true }]) {
        expect(refusalOf(other).message).toContain('neither sendCommand() nor call()')
      }
      for (const nothing of [undefined, null, 'redis://127.0.0.1']) refusalOf(nothing)
    })

    it('refuses clients of a cluster without a hash tag in the prefix, and clients of Sentinel', () => {
      const nodes = [{ host: '127.0.0.1', port: 1 }]
      const ioRedisCluster = new IoRedisCluster(nodes, { lazyConnect: true })
      expect(refusalOf(ioRedisCluster).message).toContain('{mta-sts}:')
      ioRedisCluster.disconnect()
      const cluster = createCluster({ rootNodes: [{ url: 'redis://127.0.0.1:1' }] })
      expect(thrownBy(() => redisStore(cluster))).toMatchObject({ code: 'EREDISCLIENT' })
      expect(() => redisStore(cluster, { prefix: '{mta-sts}:' })).not.toThrow()
      const sentinel = createSentinel({ name: 'mymaster', sentinelRootNodes: nodes })
      // @ts-expect-error the types refuse it too
      expect(thrownBy(() => redisStore(sentinel))).toMatchObject({ code: 'EREDISCLIENT' })
    })

    it('wraps an error of the client, escaped and truncated, with its cause', async () => {
      const cause = new Error(`\u001B[31m${'x'.repeat(1_000)}`)
      const failing = { sendCommand: (_args: string[]) => Promise.reject(cause) }
      const error = await redisStore(failing)
        .get('example.com')
        .catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: 'ESTORE', cause })
      expect(String(error)).toContain('failed at GET: \\u{1b}[31mxxx')
      expect(String(error).length).toBeLessThan(400)
    })

    it('lists each entry once when ZSCAN repeats entries and returns more than COUNT', async () => {
      const domains = Array.from({ length: 250 }, (_, index) => `d${index}.example`)
      const scored = (names: string[]) => names.flatMap((name) => [name, '1'])
      // By cursor: the answers of Redis while its table is being moved
      const scans: Record<string, [string, string[]]> = {
        '0': ['7', scored(domains.slice(0, 3))],
        '7': ['9', []],
        '9': ['0', scored([...domains.slice(1, 3), ...domains])],
      }
      const sizes: number[] = []
      const client = {
        async call(name: string, ...args: string[]): Promise<unknown> {
          if (name === 'ZSCAN') return scans[args[1] ?? '']
          if (name === 'DBSIZE') return 1_000_000
          if (name === 'CONFIG') throw new Error('NOPERM')
          sizes.push(args.length)
          return args.map(() => JSON.stringify(entry()))
        },
      }
      const seen = (await listed(redisStore(client))).map(([domain]) => domain)
      expect(seen).toEqual([...domains].sort())
      expect(Math.max(...sizes)).toBeLessThanOrEqual(100)
    })

    it.each([
      ['GET', 5],
      ['GET', ['OK']],
      ['EVAL', 'OK'],
      ['EVAL', null],
      ['ZSCAN', 'OK'],
      ['ZSCAN', [['0'], []]],
      ['MGET', 'OK'],
      ['SCAN', {}],
    ])(
      '[STS-52] rejects where the reply to %s is %j: that is not an empty store',
      async (name, reply) => {
        const usual: Record<string, unknown> = {
          GET: null,
          EVAL: 1,
          ZSCAN: ['0', ['example.com', '1']],
          MGET: [JSON.stringify(entry())],
          SCAN: ['0', []],
          DBSIZE: 1,
          CONFIG: [],
        }
        const client = { call: async (sent: string) => (sent === name ? reply : usual[sent]) }
        const store = redisStore(client)
        const use = async () => {
          await store.get('example.com')
          await store.set('example.com', entry())
          await listed(store)
        }
        await expect(use()).rejects.toMatchObject({
          code: 'ESTORE',
          message: expect.stringContaining(name),
        })
      },
    )

    it('keeps a lock whose reply was lost when the client repeats the command', async () => {
      const server = new Map<string, string>()
      const client = {
        async call(name: string, ...args: string[]): Promise<unknown> {
          if (name !== 'EVAL') return []
          const [, , key = '', token = ''] = args
          const run = () => {
            if (!server.has(key)) server.set(key, token)
            return server.get(key) === token ? 1 : 0
          }
          // As ioredis does after a reconnect
          run()
          return run()
        },
      }
      expect(await lockOf(redisStore(client), 'refresh', HOUR)).toBeDefined()
      expect(await lockOf(redisStore(client), 'refresh', HOUR)).toBeUndefined()
    })

    it('rejects for a client that throws', async () => {
      const throwing = {
        call(): Promise<unknown> {
          throw new Error('Connection is closed.')
        },
      }
      const store = redisStore(throwing)
      await expect(store.get('example.com')).rejects.toMatchObject({ code: 'ESTORE' })
      await expect(store.set('example.com', entry())).rejects.toMatchObject({ code: 'ESTORE' })
      await expect(store.delete('example.com')).rejects.toMatchObject({ code: 'ESTORE' })
      await expect(lockOf(store, 'refresh', 1)).rejects.toMatchObject({ code: 'ESTORE' })
      await expect(listed(store)).rejects.toMatchObject({ code: 'ESTORE' })
    })
  })
}

/** A client, the few commands with which a test inspects the store, and its end. */
interface Connection {
  client: RedisClient
  command(...args: [string, ...string[]]): Promise<unknown>
  /** Resolves when the client has a connection again */
  ready(): Promise<unknown>
  end(): void
}

interface ConnectOptions {
  /** Commands reject while there is no connection, instead of waiting for one */
  failFast: boolean
}

type Connect = (port: number, options?: ConnectOptions) => Promise<Connection>

const reconnectDelay = 10

function connectNodeRedis(resp: 2 | 3): Connect {
  return async (port, options = { failFast: false }) => {
    const client = createClient({
      RESP: resp,
      disableOfflineQueue: options.failFast,
      socket: { host: '127.0.0.1', port, reconnectStrategy: () => reconnectDelay },
    })
    client.on('error', () => {})
    await client.connect()
    return {
      client,
      command: (...args) => client.sendCommand(args),
      ready: () => new Promise((resolve) => client.once('ready', resolve)),
      end: () => client.destroy(),
    }
  }
}

const connectIoRedis: Connect = async (port, options = { failFast: false }) => {
  const client = new IoRedis({
    host: '127.0.0.1',
    port,
    lazyConnect: true,
    enableOfflineQueue: !options.failFast,
    maxRetriesPerRequest: options.failFast ? 0 : null,
    retryStrategy: () => reconnectDelay,
  })
  client.on('error', () => {})
  await client.connect()
  return {
    client,
    command: (name, ...args) => client.call(name, ...args),
    ready: () => new Promise((resolve) => client.once('ready', resolve)),
    end: () => client.disconnect(),
  }
}

const CLIENTS: [name: string, connect: Connect][] = [
  ['node-redis, RESP2', connectNodeRedis(2)],
  ['node-redis, RESP3', connectNodeRedis(3)],
  ['ioredis', connectIoRedis],
]

function serverTests(): void {
  const server = new RedisServer('in memory')
  const connections: Connection[] = []
  let prefixes = 0

  beforeAll(() => server.start())
  afterEach(() => {
    for (const connection of connections.splice(0)) connection.end()
  })
  afterAll(() => server.dispose())

  async function connected(connect: Connect, options?: ConnectOptions): Promise<Connection> {
    const connection = await connect(server.port, options)
    connections.push(connection)
    return connection
  }
  const newPrefix = () => `t${++prefixes}:`

  for (const [name, connect] of CLIENTS) {
    conformance(`redisStore on ${name}`, async () => {
      const prefix = newPrefix()
      const [one, two] = [await connected(connect), await connected(connect)]
      return {
        store: redisStore(one.client, { prefix }),
        other: redisStore(two.client, { prefix }),
      }
    })
    describe(`redisStore on ${name}`, () => {
      const open = async () => {
        const { client, command } = await connected(connect)
        const prefix = newPrefix()
        return { client, command, prefix, store: redisStore(client, { prefix }) }
      }
      expiryTests(open)
      keyTests(open)
      nonsenseTests(open)

      it('close() does not close the client', async () => {
        const { store, command } = await open()
        await store.close?.()
        expect(await command('PING')).toBe('PONG')
        await store.set('example.com', entry())
      })
    })
    restartTests(name, connect)
  }
  otherClientTests(server, newPrefix)
  serverOnlyTests(server, newPrefix)
}

type Open = () => Promise<
  Pick<Connection, 'client' | 'command'> & {
    prefix: string
    store: ReturnType<typeof redisStore>
  }
>

function expiryTests(open: Open): void {
  it('lets Redis drop an entry when the policy expires', async () => {
    const { store, command, prefix } = await open()
    const expiresAt = Date.now() + DAY
    await store.set('example.com', entry({ expiresAt }))
    const left = Number(await command('PTTL', `${prefix}policy:example.com`))
    expect(left).toBeLessThanOrEqual(DAY)
    expect(left).toBeGreaterThanOrEqual(expiresAt - Date.now() - 1)
  })

  it('sets the expiry of a newer fetch, but not of an older one', async () => {
    const { store, command, prefix } = await open()
    const fetchedAt = Date.now()
    const lifeLeft = async () => Number(await command('PTTL', `${prefix}policy:example.com`))
    await store.set('example.com', entry({ fetchedAt, expiresAt: fetchedAt + HOUR }))
    await store.set('example.com', entry({ fetchedAt: fetchedAt - 1, expiresAt: fetchedAt + DAY }))
    expect(await lifeLeft()).toBeLessThanOrEqual(HOUR)
    await store.set('example.com', entry({ fetchedAt: fetchedAt + 1, expiresAt: fetchedAt + DAY }))
    expect(await lifeLeft()).toBeGreaterThan(HOUR)
  })

  it('does not return expired entries', async () => {
    const { store } = await open()
    await store.set('example.com', entry({ expiresAt: Date.now() + 20 }))
    await expect.poll(() => store.get('example.com')).toBeUndefined()
    await store.set('example.org', entry({ fetchedAt: 0, expiresAt: 0 }))
    expect(await store.get('example.org')).toBeUndefined()
  })

  it('gives a lock a time to live, so that it outlives no dead owner', async () => {
    const { store, command, prefix } = await open()
    await mustLock(store, 'refresh', 60_000.5)
    const left = Number(await command('PTTL', `${prefix}lock:refresh`))
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThanOrEqual(60_001)
  })
}

function keyTests(open: Open): void {
  it('takes glob characters in a prefix literally', async () => {
    const { client, store: neighbour, prefix } = await open()
    const odd = redisStore(client, { prefix: `${prefix}*?[a-z^]\\` })
    await neighbour.set('example.com', entry())
    await redisStore(client, { prefix: `${prefix}xxb\\` }).set('example.net', entry())
    await odd.set('example.org', entry())
    expect((await listed(odd)).map(([domain]) => domain)).toEqual(['example.org'])
    expect((await listed(neighbour)).map(([domain]) => domain)).toEqual(['example.com'])
  })

  it('uses the prefix mta-sts: by default', async () => {
    const { client, command } = await open()
    const store = redisStore(client)
    await store.set('default-prefix.example', entry())
    expect(await command('EXISTS', 'mta-sts:policy:default-prefix.example')).toBe(1)
    await store.delete('default-prefix.example')
    expect(await command('EXISTS', 'mta-sts:policy:default-prefix.example')).toBe(0)
  })

  it('lists each entry once while the table of keys grows', async () => {
    const { store, command, prefix } = await open()
    const domains = Array.from({ length: 300 }, (_, index) => `d${index}.example`)
    await Promise.all(domains.map((domain) => store.set(domain, entry())))
    const seen: string[] = []
    for await (const [domain] of listOf(store)) {
      seen.push(domain)
      const more = Array.from({ length: 20 }, (_, index) => [
        `${prefix}x${seen.length}-${index}`,
        '',
      ])
      await command('MSET', ...more.flat())
    }
    expect(seen.sort()).toEqual(domains.sort())
  })

  it('omits entries from the list that disappear between SCAN and MGET', async () => {
    const { client, store, prefix } = await open()
    await store.set('stays.example', entry())
    await store.set('goes.example', entry())
    const racing = redisStore(
      withHook(client, 'MGET', () => store.delete('goes.example')),
      { prefix },
    )
    expect((await listed(racing)).map(([domain]) => domain)).toEqual(['stays.example'])
  })
}

/** The same client, which does something else just before one command. */
function withHook(client: RedisClient, name: string, hook: () => Promise<void>): RedisClient {
  const send = async (args: [string, ...string[]]) => {
    if (args[0] === name) await hook()
    return 'call' in client ? client.call(...args) : client.sendCommand(args)
  }
  return { call: (...args) => send(args) }
}

function nonsenseTests(open: Open): void {
  const wrong = { code: 'ESTOREVALUE', message: expect.stringContaining('example.com') }

  it.each(['', 'rubbish', '{}', 'null', '[]', '5', '{"fetchedAt":null}', '{"fetchedAt":"9e99"}'])(
    '[STS-33] "%s" does not count as a policy, and is replaced',
    async (text) => {
      const { store, command, prefix } = await open()
      await command('SET', `${prefix}policy:example.com`, text)
      await expect(store.get('example.com')).rejects.toMatchObject(wrong)
      await store.set('example.com', entry({ id: 'healed' }))
      expect((await store.get('example.com'))?.id).toBe('healed')
    },
  )

  it('rejects for a key of another type, without changing it', async () => {
    const { store, command, prefix } = await open()
    await command('RPUSH', `${prefix}policy:example.com`, 'a', 'b')
    const error = { code: 'ESTORE', message: expect.stringContaining('WRONGTYPE') }
    await expect(store.get('example.com')).rejects.toMatchObject(error)
    await expect(store.set('example.com', entry())).rejects.toMatchObject(error)
    expect(await command('LLEN', `${prefix}policy:example.com`)).toBe(2)
  })

  it('lists all other entries before it throws', async () => {
    const { store, command, prefix } = await open()
    const domains = Array.from({ length: 150 }, (_, index) => `d${index}.example`)
    await Promise.all(domains.map((domain) => store.set(domain, entry())))
    await command('SET', `${prefix}policy:example.com`, 'rubbish')
    const seen: string[] = []
    const reading = async () => {
      for await (const [domain] of listOf(store)) seen.push(domain)
    }
    await expect(reading()).rejects.toMatchObject(wrong)
    expect(seen.sort()).toEqual(domains.sort())
  })
}

/** Tests that need a real server. */
function serverOnlyTests(server: RedisServer, newPrefix: () => string): void {
  describe('redisStore among other keys', () => {
    let connection: Connection
    beforeAll(async () => {
      connection = await connectIoRedis(server.port)
    })
    afterAll(() => connection.end())

    it('list and due need few commands in a database with 300,000 other keys', async () => {
      const { command } = connection
      await command('EVAL', FILL, '0', '300000')
      const prefix = newPrefix()
      const commands: string[] = []
      const counting: RedisClient = {
        call: (name, ...args) => {
          commands.push(name)
          return command(name, ...args)
        },
      }
      const store = redisStore(counting, { prefix })
      for (const name of ['a', 'b', 'c']) await store.set(`${name}.example`, entry())
      commands.length = 0
      expect((await listed(store)).length).toBe(3)
      expect((await dueOf(store, Date.now() + DAY)).length).toBe(3)
      expect(commands.length).toBeLessThan(10)
      await command('FLUSHALL')
    })

    it('due skips and removes domains whose policy has expired', async () => {
      const { client, command } = connection
      const prefix = newPrefix()
      const store = redisStore(client, { prefix })
      const old = Date.now() - DAY
      const domains = Array.from({ length: 230 }, (_, index) => `d${index}.example`)
      // All of them are due at the same time
      await Promise.all(domains.map((domain) => store.set(domain, entry({ fetchedAt: old }))))
      await command('DEL', `${prefix}policy:d7.example`)
      expect((await dueOf(store, Date.now())).length).toBe(229)
      expect(await command('ZCARD', `${prefix}due`)).toBe(229)
    })

    it('warns once where Redis evicts keys', async () => {
      const { client, command } = connection
      const heard: unknown[] = []
      const hear = (event: unknown) => heard.push(event)
      const warnings: Error[] = []
      const onWarning = (warning: Error) => warnings.push(warning)
      process.on('warning', onWarning)
      subscribe('mta-sts:store-failure', hear)
      await command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
      const store = redisStore(client, { prefix: newPrefix() })
      await store.set('example.com', entry())
      await store.set('example.com', entry())
      await expect.poll(() => warnings.length).toBe(1)
      expect(String(warnings[0])).toContain('maxmemory-policy noeviction')
      expect(heard.length).toBe(1)
      unsubscribe('mta-sts:store-failure', hear)
      await command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
      await redisStore(client, { prefix: newPrefix() }).set('example.com', entry())
      await new Promise((resolve) => setImmediate(resolve))
      process.off('warning', onWarning)
      expect(warnings.length).toBe(1)
    })
  })
}

const FILL = "for i = 1, ARGV[1] do redis.call('SET', 'other:' .. i, '1') end return 1"

function restartTests(name: string, connect: Connect): void {
  describe(`redisStore on ${name}: Redis dies and returns`, () => {
    const server = new RedisServer('on disk')
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    let connection: Connection | undefined

    beforeAll(async () => {
      process.on('unhandledRejection', note)
      await server.start()
    })
    afterEach(() => connection?.end())
    afterAll(async () => {
      process.off('unhandledRejection', note)
      await server.dispose()
    })

    /** Asks concurrently until it is stopped; returns the errors. */
    function askingFor(store: ReturnType<typeof redisStore>, domain: string) {
      const rejections: unknown[] = []
      const answers: unknown[] = []
      let asking = true
      const lane = async () => {
        while (asking) {
          await store.get(domain).then(
            (answer) => answers.push(answer),
            (reason: unknown) => rejections.push(reason),
          )
          // Lets sockets emit events between two calls that fail at once
          await new Promise((resolve) => setImmediate(resolve))
        }
      }
      const lanes = Promise.all(Array.from({ length: 8 }, lane))
      const stop = async () => {
        asking = false
        await lanes
        return { rejections, answers }
      }
      return { answers, stop }
    }

    it('[STS-33] rejects meanwhile, answers nothing wrong, and has all entries afterwards', async () => {
      connection = await connect(server.port, { failFast: true })
      const store = redisStore(connection.client, { prefix: 'fast:' })
      const kept = entry()
      await store.set('example.com', kept)
      const lookups = askingFor(store, 'example.com')

      for (let round = 0; round < 3; round++) {
        const answered = lookups.answers.length
        await expect.poll(() => lookups.answers.length).toBeGreaterThan(answered)
        await server.kill()
        const down = { code: 'ESTORE', cause: expect.any(Error) }
        await expect(store.get('example.com')).rejects.toMatchObject(down)
        await expect(store.set('example.com', entry({ id: 'lost' }))).rejects.toMatchObject(down)
        await expect(store.delete('example.com')).rejects.toMatchObject(down)
        await expect(lockOf(store, 'refresh', 1_000)).rejects.toMatchObject(down)
        await expect(listed(store)).rejects.toMatchObject(down)
        const ready = connection.ready()
        await server.start()
        await ready
        expect(await store.get('example.com')).toEqual(kept)
        await store.set(`round${round}.example`, entry())
      }

      const { rejections, answers } = await lookups.stop()
      expect(rejections.length).toBeGreaterThan(0)
      for (const reason of rejections) expect(reason).toMatchObject({ code: 'ESTORE' })
      for (const answer of answers) expect(answer).toEqual(kept)
      expect((await listed(store)).length).toBe(4)
      expect(unhandled).toEqual([])
    })

    it('[STS-33] answers waiting calls afterwards if the client has a queue', async () => {
      connection = await connect(server.port)
      const store = redisStore(connection.client, { prefix: 'queue:' })
      await store.set('example.com', entry({ id: 'before' }))
      const lookups = askingFor(store, 'example.com')
      await server.kill()
      // One that is on its way when the connection breaks may reject; the next one waits
      const waiting = Array.from({ length: 20 }, (_, index) =>
        store.set(`d${index}.example`, entry({ id: 'meanwhile' })),
      )
      const outcomes = Promise.allSettled(waiting)
      await server.start()
      await outcomes
      await store.set('example.com', entry({ id: 'after' }))
      expect((await store.get('example.com'))?.id).toBe('after')
      const { rejections, answers } = await lookups.stop()
      for (const reason of rejections) expect(reason).toMatchObject({ code: 'ESTORE' })
      expect(answers).not.toContain(undefined)
      for (const [index, outcome] of (await outcomes).entries()) {
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'ESTORE' })
        else expect((await store.get(`d${index}.example`))?.id).toBe('meanwhile')
      }
      expect(unhandled).toEqual([])
    })
  })
}

function otherClientTests(server: RedisServer, newPrefix: () => string): void {
  describe('redisStore: differently configured clients', () => {
    const ends: (() => void)[] = []
    afterEach(() => {
      for (const end of ends.splice(0)) end()
    })

    async function worksLike(client: RedisClient, prefix: string): Promise<void> {
      const store = redisStore(client, { prefix })
      const kept = entry({ body: 'ü €\r\n' })
      expect(await store.get('example.com')).toBeUndefined()
      await store.set('example.com', kept)
      expect(await store.get('example.com')).toEqual(kept)
      expect(await listed(store)).toEqual([['example.com', kept]])
      const release = await mustLock(store, 'refresh', HOUR)
      expect(await lockOf(store, 'refresh', HOUR)).toBeUndefined()
      await release()
      await mustLock(store, 'refresh', HOUR)
    }

    it('reads with node-redis what ioredis wrote, and vice versa', async () => {
      const one = await connectIoRedis(server.port)
      const two = await connectNodeRedis(3)(server.port)
      ends.push(one.end, two.end)
      const prefix = newPrefix()
      const kept = entry()
      await redisStore(one.client, { prefix }).set('one.example', kept)
      await redisStore(two.client, { prefix }).set('two.example', kept)
      const both = [
        ['one.example', kept],
        ['two.example', kept],
      ]
      expect(await listed(redisStore(one.client, { prefix }))).toEqual(both)
      expect(await listed(redisStore(two.client, { prefix }))).toEqual(both)
    })

    it('works with an ioredis keyPrefix', async () => {
      const keyPrefix = `*${newPrefix()}`
      const client = new IoRedis({ host: '127.0.0.1', port: server.port, keyPrefix })
      ends.push(() => client.disconnect())
      await worksLike(client, 'sts:')
      expect(await client.exists('sts:policy:example.com')).toBe(1)
    })

    it('works with automatic pipelining of ioredis', async () => {
      const client = new IoRedis({ port: server.port, enableAutoPipelining: true })
      ends.push(() => client.disconnect())
      await worksLike(client, newPrefix())
    })

    it('works with node-redis that returns Buffers', async () => {
      const plain = createClient({ socket: { host: '127.0.0.1', port: server.port } })
      plain.on('error', () => {})
      await plain.connect()
      ends.push(() => plain.destroy())
      await worksLike(plain.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }), newPrefix())
    })

    it('works with a pool of node-redis', async () => {
      const pool = createClientPool({ socket: { host: '127.0.0.1', port: server.port } })
      pool.on('error', () => {})
      await pool.connect()
      ends.push(() => pool.destroy())
      await worksLike(pool, newPrefix())
    })

    it('rejects with a client that was never connected', async () => {
      const store = redisStore(createClient())
      await expect(store.get('example.com')).rejects.toMatchObject({ code: 'ESTORE' })
    })
  })
}

clientTests()

const missing = whyNoRedis()
if (missing === undefined) {
  serverTests()
} else {
  console.warn(`The Redis store is not tested against a server: ${missing}`)
  it(`nothing more is tested here: ${missing}`, () => expect(missing).toBeDefined())
}
