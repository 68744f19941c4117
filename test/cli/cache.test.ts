/** `mta-sts cache`: the entries of a store. On SQLite where this Node has it, else how it says so. */
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PolicyStore, StoredPolicy } from '../../src/policy/store.js'
import { redisStore } from '../../src/policy/stores/redis.js'
import { sqliteStore } from '../../src/policy/stores/sqlite.js'
import { RedisServer } from '../policy/stores/redis-server.js'
import { hasSqlite, type Stage, useWorld } from './support.js'

const DAY = 86_400_000

function entry(changes: Partial<StoredPolicy> = {}): StoredPolicy {
  const fetchedAt = Date.now() - DAY
  return {
    id: '20260801',
    body: 'version: STSv1\r\nmode: enforce\r\nmx: mx.bob.example\r\nmax_age: 604800\r\n',
    fetchedAt,
    expiresAt: fetchedAt + 7 * DAY,
    usedAt: fetchedAt,
    ...changes,
  }
}

interface Held {
  stage: Stage
  store: () => PolicyStore
  /** What --store says */
  name: () => string
}

/** What holds of every kind of store. */
function behaves({ stage, store, name }: Held): void {
  const cache = (...argv: string[]) => stage.cli(['cache', '--store', name(), ...argv])
  const json = async (...argv: string[]) => JSON.parse((await cache('--json', ...argv)).stdout)

  it('lists cached policies with the times of fetch and expiry', async () => {
    const fetchedAt = Date.UTC(2026, 7, 1, 12)
    const expired = { fetchedAt, expiresAt: fetchedAt + DAY, usedAt: fetchedAt }
    await store().set('old.example', entry(expired))
    await store().set('bob.example', entry())
    const { status, stdout, stderr } = await cache()
    expect(status).toBe(0)
    expect(stderr).toBe('')
    const [head, ...lines] = stdout.trimEnd().split('\n')
    expect(head).toMatch(/^Domain {2,}Mode {2,}Since \(UTC\) {2,}Until$/)
    const bob = lines.find((line) => line.startsWith('bob.example'))
    expect(bob).toMatch(
      /^bob\.example +enforce +(\d{4}-\d\d-\d\d \d\d:\d\d) +\d{4}-\d\d-\d\d \d\d:\d\d$/,
    )
    const { policies } = await json('list')
    expect(policies.find((one: { domain: string }) => one.domain === 'bob.example')).toEqual({
      domain: 'bob.example',
      mode: 'enforce',
      id: '20260801',
      fetchedAt: expect.stringMatching(/Z$/),
      expiresAt: expect.stringMatching(/Z$/),
      usedAt: expect.stringMatching(/Z$/),
      expired: false,
      body: entry().body,
    })
  })

  it('shows a cached policy, or says that none is cached', async () => {
    await store().set('bob.example', entry())
    const shown = await cache('show', 'Bob.Example')
    expect(shown.status).toBe(0)
    expect(shown.stdout).toMatch(/^bob\.example\n\nId {9}20260801\nSince/)
    expect(shown.stdout).toContain('UTC, 5 days left')
    expect(shown.stdout).toContain('\nmode: enforce\n')
    const none = await cache('show', 'nobody.example')
    expect(none).toMatchObject({ status: 1, stdout: '' })
    expect(none.stderr).toBe('mta-sts: No policy of nobody.example is cached.\n')
    expect(await json('show', 'nobody.example')).toEqual({ format: 1, policy: null })
  })

  it('shows an MX host of 253 characters whole, and cuts other text', async () => {
    const host = `${'m'.repeat(60)}.${'x'.repeat(60)}.${'y'.repeat(60)}.${'z'.repeat(60)}.example`
    const text = 'n'.repeat(300)
    const body = `version: STSv1\r\nmode: enforce\r\nmx: ${host}\r\nmx:\t*.${host.slice(2)} \r\nmax_age: 1\r\nnote: ${text}\r\n`
    await store().set('long.example', entry({ body }))

    const { stdout } = await cache('show', 'long.example')

    expect(stdout).toContain(`\nmx: ${host}\n`)
    expect(stdout).toContain(`*.${host.slice(2)}`)
    expect(stdout).toContain('nnn…\n')
    expect(stdout).not.toContain('n'.repeat(201))
  })

  it('removes a cached policy', async () => {
    await store().set('gone.example', entry())
    const removal = await cache('remove', 'gone.example')
    expect(removal.status).toBe(0)
    expect(removal.stdout).toMatch(/^Removed gone\.example\nSenders that /)
    expect(await store().get('gone.example')).toBeUndefined()
    expect((await cache('remove', 'gone.example')).status).toBe(1)
    expect(await json('remove', 'gone.example')).toMatchObject({ format: 1, removed: false })
  })

  it('refreshes cached policies, and reports failures', async () => {
    for await (const [held] of store().list?.() ?? []) await store().delete(held)
    const [good, bad] = [stage.domain({ mode: 'enforce' }), stage.domain({ mode: 'enforce' })]
    bad.policyHost.fails('expired')
    const before = Date.now() - 60_000
    const held = (id: string) => entry({ id, fetchedAt: before, usedAt: before })
    await store().set(good.name, held('old1'))
    await store().set(bad.name, held(bad.id ?? ''))
    const argv = ['cache', '--store', name(), 'refresh', '--ca', join(stage.folder, 'ca.pem')]
    const { status, stdout, stderr } = await stage.cli(argv)
    expect(stdout).toBe('2 looked at: 0 renewed, 1 changed, 1 failed, 0 dropped\n')
    expect(status).toBe(1)
    expect(stderr).toContain(`mta-sts: ${bad.name}: sts-webpki-invalid (certificate-expired)`)
    expect(await store().get(good.name)).toMatchObject({ id: good.id, body: good.policyFile })
    bad.policyHost.works()
    const again = await stage.cli([...argv, '--json'])
    expect(JSON.parse(again.stdout)).toMatchObject({ format: 1, checked: 2, failures: [] })
    expect(again.status).toBe(0)
  })
}

describe('a store in SQLite', () => {
  const stage = useWorld()
  const path = join(stage.folder, 'policies.sqlite')

  if (hasSqlite()) {
    let store: PolicyStore | undefined
    beforeAll(() => {
      store = sqliteStore(path)
    })
    afterAll(() => store?.close?.())
    behaves({
      stage,
      store: () => {
        if (store === undefined) throw new Error('It is opened before the first test')
        return store
      },
      name: () => `sqlite:${path}`,
    })

    it('lists readable entries beside an unreadable one, and ends with status 3', async () => {
      const mixed = join(stage.folder, 'mixed.sqlite')
      const open = sqliteStore(mixed)
      await open.set('a.example', entry())
      await open.set('b.example', entry({ body: 'nonsense' }))
      await open.close?.()
      const { status, stdout } = await stage.cli(['cache', '--store', `sqlite:${mixed}`])
      expect(status).toBe(0)
      expect(stdout).toMatch(/^b\.example +broken /m)
    })

    it('refuses an empty file and leaves it empty', async () => {
      const empty = join(stage.folder, 'empty.sqlite')
      writeFileSync(empty, '')
      const { status, stderr } = await stage.cli(['cache', '--store', `sqlite:${empty}`])
      expect(status).toBe(3)
      expect(stderr).toBe(`mta-sts: ${empty} is empty: it is no store.\n`)
      expect(statSync(empty).size).toBe(0)
    })

    it('refuses a file that is no database', async () => {
      const argv = ['cache', '--store', `sqlite:${join(stage.folder, 'ca.pem')}`]
      const { status, stderr } = await stage.cli(argv)
      expect(status).toBe(3)
      expect(stderr).toContain('is not a SQLite database')
      expect(stderr).not.toMatch(/^ {4}at /m)
    })
  } else {
    it('names the version of Node that it needs', async () => {
      const argv = ['cache', '--store', `sqlite:${join(stage.folder, 'ca.pem')}`]
      const { status, stderr } = await stage.cli(argv)
      expect(status).toBe(3)
      expect(stderr).toContain('Upgrade Node (>= 22.13)')
    })
  }

  it('refuses a path without a file, and creates none', async () => {
    const { status, stderr } = await stage.cli(['cache', '--store', 'sqlite:/no/such/store'])
    expect({ status, stderr }).toEqual({
      status: 3,
      stderr: 'mta-sts: There is no store /no/such/store.\n',
    })
  })
})

describe('a store in Redis', () => {
  const stage = useWorld()
  const server = new RedisServer('in memory')
  let store: PolicyStore | undefined
  let disconnect: (() => void) | undefined
  let command: ((...words: string[]) => Promise<unknown>) | undefined
  beforeAll(async () => {
    await server.start()
    const { createClient } = await import('redis')
    const client = createClient({ url: `redis://127.0.0.1:${server.port}` })
    await client.on('error', () => undefined).connect()
    disconnect = () => client.destroy()
    command = (...words) => client.sendCommand(words)
    store = redisStore(client)
  })
  afterAll(async () => {
    disconnect?.()
    await server.dispose()
  })
  behaves({
    stage,
    store: () => {
      if (store === undefined) throw new Error('It is opened before the first test')
      return store
    },
    name: () => `redis://127.0.0.1:${server.port}`,
  })

  const cache = (...argv: string[]) =>
    stage.cli(['cache', '--store', `redis://127.0.0.1:${server.port}`, ...argv])

  it('removes an entry that cannot be read', async () => {
    await command?.('SET', 'mta-sts:policy:broken.example', 'nonsense')
    expect((await cache('show', 'broken.example')).status).toBe(3)
    expect(await cache('remove', 'broken.example')).toMatchObject({ status: 0, stderr: '' })
    expect((await cache('show', 'broken.example')).status).toBe(1)
  })

  it('leaves a tombstone for running senders, and says when they see it', async () => {
    await store?.set('marked.example', entry())
    const { stdout } = await cache('remove', 'marked.example')
    expect(stdout).toContain('Senders that use this store drop the policy when they next look')
    expect(await store?.removedAt?.('marked.example')).toBeGreaterThan(Date.now() - DAY)
  })

  it('ends refresh with status 3 when a policy could not be stored', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const before = Date.now() - 60_000
    await store?.set(domain.name, entry({ id: 'old1', fetchedAt: before, usedAt: before }))
    await command?.('CONFIG', 'SET', 'maxmemory', '1')
    const refresh = await cache('refresh', '--ca', join(stage.folder, 'ca.pem'))
    await command?.('CONFIG', 'SET', 'maxmemory', '0')
    expect(refresh.status).toBe(3)
    expect(refresh.stderr).toContain('The policy store failed')
  })

  it.each(['x', '0/1', '-1'])('redis://.../%s is wrong usage', async (database) => {
    const name = `redis://127.0.0.1:${server.port}/${database}`
    const { status, stderr } = await stage.cli(['cache', '--store', name])
    expect(status).toBe(2)
    expect(stderr).toContain('--store takes sqlite:PATH or redis://HOST[:PORT][/DB].')
  })

  it('reads the keys below --prefix', async () => {
    const name = `redis://127.0.0.1:${server.port}`
    const { stdout } = await stage.cli(['cache', '--store', name, '--prefix', 'other:'])
    expect(stdout).toBe('No policy is cached.\n')
  })

  it('reports a Redis that does not answer, without the password', async () => {
    const { status, stderr } = await stage.cli([
      ...['cache', '--store', 'redis://user:secret@127.0.0.1:1', 'list', '--debug'],
    ])
    expect(status).toBe(3)
    expect(stderr).toContain('Redis at 127.0.0.1:1 does not answer')
    expect(stderr).not.toContain('secret')
  })
})
