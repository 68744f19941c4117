/** Both stores on a Redis Cluster of three nodes, with the clients of both packages. */
import { Cluster as IoRedisCluster } from 'ioredis'
import { createCluster } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { redisStore } from '../../../src/policy/stores/redis.js'
import { redisReportStore } from '../../../src/tlsrpt/index.js'
import { conformance as reportConformance } from '../../tlsrpt/conformance.js'
import { conformance } from './conformance.js'
import { RedisCluster, whyNoRedis } from './redis-server.js'

const missing = whyNoRedis()

if (missing === undefined) clusterTests()
else {
  console.warn(`Stores in a Redis Cluster are not tested: ${missing}`)
  it(`nothing is tested here: ${missing}`, () => expect(missing).toBeDefined())
}

function clusterTests(): void {
  const servers = new RedisCluster()
  let ioRedis: IoRedisCluster
  let nodeRedis: Awaited<ReturnType<typeof connect>>
  let prefixes = 0
  // A slot for each: the keys of one store are on one node, those of many on all
  const newPrefix = () => `{t${++prefixes}}:`

  async function connect() {
    const rootNodes = servers.ports.map((port) => ({ url: `redis://127.0.0.1:${port}` }))
    const client = createCluster({ rootNodes })
    client.on('error', () => {})
    await client.connect()
    return client
  }

  beforeAll(async () => {
    await servers.start()
    nodeRedis = await connect()
    ioRedis = new IoRedisCluster(servers.ports.map((port) => ({ host: '127.0.0.1', port })))
    ioRedis.on('error', () => {})
  })
  afterAll(async () => {
    ioRedis.disconnect()
    nodeRedis.destroy()
    await servers.dispose()
  })

  conformance('redisStore on a cluster', () => {
    const prefix = newPrefix()
    return { store: redisStore(nodeRedis, { prefix }), other: redisStore(ioRedis, { prefix }) }
  })
  reportConformance('redisReportStore on a cluster', () => {
    const prefix = newPrefix()
    return {
      store: redisReportStore(ioRedis, { prefix }),
      other: redisReportStore(nodeRedis, { prefix }),
    }
  })

  describe('a cluster', () => {
    it('holds keys of these tests on each of its nodes', async () => {
      const sizes = await Promise.all(ioRedis.nodes('master').map((node) => node.dbsize()))
      expect(sizes.length).toBe(3)
      for (const size of sizes) expect(size).toBeGreaterThan(0)
    })

    it('is refused for a prefix without a hash tag, with a prefix that would work', () => {
      for (const make of [redisStore, redisReportStore]) {
        expect(() => make(ioRedis)).toThrow(/\{mta-sts\}:/)
        expect(() => make(nodeRedis, { prefix: 'mail:' })).toThrow(/\{mta-sts\}:/)
        expect(() => make(nodeRedis, { prefix: '{mta-sts}:' })).not.toThrow()
      }
    })
  })
}
