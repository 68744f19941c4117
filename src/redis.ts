/**
 * A policy store in Redis, for many machines.
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
