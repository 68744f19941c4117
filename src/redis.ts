/**
 * A policy store in Redis, for many machines.
 *
 * @module mta-sts/redis
 */
export {
  type IoRedisClient,
  type NodeRedisClient,
  type RedisClient,
  type RedisStoreOptions,
  redisStore,
} from './policy/stores/redis.js'
