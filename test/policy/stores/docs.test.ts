/** The statements of docs/operating.md and docs/own-store.md about stores. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { transformSync } from 'esbuild'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PolicyStore, StoredPolicy } from '../../../src/policy/store.js'
import { redisStore } from '../../../src/policy/stores/redis.js'
import { policyStoreConformance, reportStoreConformance } from '../../../src/testing/index.js'
import { redisReportStore } from '../../../src/tlsrpt/index.js'
import { conformance } from './conformance.js'
import { RedisServer, whyNoRedis } from './redis-server.js'

const pageAt = (name: string) =>
  readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8')
const OPERATING = pageAt('operating.md')
const OWN_STORE = pageAt('own-store.md')
const folder = mkdtempSync(join(tmpdir(), 'mta-sts-docs-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Returns the block of docs/own-store.md with a text. */
function blockWith(text: string, language: string): string {
  const blocks = [...OWN_STORE.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
  const found = blocks.find(([, name, block]) => name === language && block?.includes(text))
  if (found?.[2] === undefined) throw new Error(`There is no block with ${text}`)
  return found[2]
}

let ownStore: { store: PolicyStore; entries: Map<string, StoredPolicy> }

beforeAll(async () => {
  const example = blockWith('const store: PolicyStore', 'ts')
  const alone = example.replace(/^import .*$/m, '').replace(/^const sts = .*$/m, '')
  const { code } = transformSync(`${alone}\nexport { store, entries }`, { loader: 'ts' })
  const file = join(folder, 'own-store.mjs')
  writeFileSync(file, code)
  ownStore = await import(/* @vite-ignore */ pathToFileURL(file).href)
})

conformance('the store that docs/operating.md shows', () => {
  ownStore.entries.clear()
  return { store: ownStore.store }
})

describe('the conformance rules find the faults of a store', () => {
  const failing = async (change: (store: PolicyStore) => PolicyStore) => {
    const broken: string[] = []
    const cases = policyStoreConformance(() => {
      ownStore.entries.clear()
      return { store: change(ownStore.store) }
    })
    for (const { title, run } of cases) await run().catch(() => broken.push(title))
    return broken.join('\n')
  }

  it('[STS-53] a store that accepts every entry', async () => {
    const careless = (store: PolicyStore): PolicyStore => ({
      ...store,
      async set(domain, entry) {
        ownStore.entries.set(domain, entry)
      },
    })
    const broken = await failing(careless)
    expect(broken).toContain('the one that began later stays')
    expect(broken).toContain('is rejected with ESTOREVALUE')
    expect(broken).toContain('entries are copied')
  })

  it('[STS-61] a store that loses the last use of a policy', async () => {
    const forgetful = (store: PolicyStore): PolicyStore => ({
      ...store,
      async set(domain, entry, before) {
        const taken = await store.set(domain, entry, before)
        if (taken) ownStore.entries.set(domain, { ...entry })
        return taken !== false
      },
    })
    expect(await failing(forgetful)).toContain('never takes back how lately')
  })
})

if (whyNoRedis() === undefined) {
  describe('the Redis user of docs/operating.md', () => {
    const server = new RedisServer('in memory')
    beforeAll(() => server.start())
    afterAll(() => server.dispose())

    it('has the permissions that the stores need, and none for keys of others', async () => {
      const connect = async (login: object) => {
        const socket = { host: '127.0.0.1', port: server.port }
        const client = createClient({ socket, ...login })
        client.on('error', () => {})
        await client.connect()
        return client
      }
      const admin = await connect({})
      const [, line = ''] = /`(ACL SETUSER [^`]*)`/.exec(OPERATING) ?? []
      await admin.sendCommand(line.split(' '))
      const user = await connect({ username: 'mta-sts', password: 'secret' })
      await expect(user.sendCommand(['GET', 'other'])).rejects.toThrow('NOPERM')
      const cases = [
        ...policyStoreConformance(async () => {
          await admin.sendCommand(['FLUSHALL'])
          return { store: redisStore(user) }
        }),
        ...reportStoreConformance(async () => {
          await admin.sendCommand(['FLUSHALL'])
          return { store: redisReportStore(user) }
        }),
      ]
      for (const { run } of cases) await run()
      user.destroy()
      admin.destroy()
    })
  })
}
