/**
 * A policy store in Redis, for the processes of many machines. It takes a client of `redis` or of
 * `ioredis`; the program opens and closes it.
 *
 * ```ts
 * import { createClient } from 'redis'
 * import { MtaSts } from 'mta-sts'
 * import { redisStore } from 'mta-sts/redis'
 *
 * const client = createClient({ url: 'redis://localhost:6379' })
 * client.on('error', console.error)
 * await client.connect()
 * const sts = new MtaSts({ store: redisStore(client) })
 * ```
 *
 * Guide: [Operating it](../docs/operating.md).
 *
 * @module mta-sts/redis
 */
export { type RedisStoreOptions, redisStore } from './policy/stores/redis.js'
export type {
  IoRedisClient,
  NodeRedisClient,
  NodeRedisCluster,
  RedisClient,
} from './storage/redis-client.js'
