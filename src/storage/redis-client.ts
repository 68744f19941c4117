/**
 * Clients of Redis: `redis` (node-redis) and `ioredis`, plain, pooled or of a cluster, as one
 * function that sends a command; and the replies, checked.
 *
 * @module
 */
import { MtaStsError } from '../errors.js'
import { publish } from '../events.js'
import { escapeRemoteText, textOfThrown } from '../text.js'

/** What is used of a client of the package `redis`, made by `createClient` or `createClientPool`. */
export interface NodeRedisClient {
  /** Sends one command, its name first; resolves to the reply */
  sendCommand(args: string[]): Promise<unknown>
}

/** What is used of a client of the package `redis`, made by `createCluster`. */
export interface NodeRedisCluster {
  /** Sends one command to the node that has the key */
  sendCommand(
    firstKey: string | undefined,
    isReadonly: boolean | undefined,
    args: string[],
  ): Promise<unknown>
}

/** What is used of a client of the package `ioredis`, made by `new Redis()` or `new Cluster()`. */
export interface IoRedisClient {
  /** Sends one command; resolves to the reply */
  call(command: string, ...args: string[]): Promise<unknown>
  /** With a `keyPrefix`, ioredis puts that before every key; the store minds it */
  options?: { keyPrefix?: string | undefined }
}

/** A client of `redis` (node-redis) or of `ioredis`. */
export type RedisClient = NodeRedisClient | IoRedisClient

type AnyClient = RedisClient | NodeRedisCluster

/** Sends one command. Rejects with an MtaStsError `ESTORE`. */
export type Command = (name: string, ...args: string[]) => Promise<unknown>

export interface Adapter {
  command: Command
  /** What the client puts before every key by itself; it comes back in the replies to SCAN */
  keyPrefix: string
  /** Commands without a key reach any of several nodes */
  isCluster: boolean
}

/**
 * Makes one of the kinds of client. ioredis has a `sendCommand` too, so `call` decides.
 *
 * @param caller the function that was given the client, for the error
 * @param prefix what the keys of the store begin with
 * @throws MtaStsError with code `EREDISCLIENT`
 */
export function adapt(client: AnyClient, caller: string, prefix: string): Adapter {
  const notAClient = (why: string) => clientError(caller, why)
  if (typeof client !== 'object' || client === null) throw notAClient('it is none')
  const { send, keyPrefix } = senderOf(client, notAClient)
  const cluster = isCluster(client)
  if (cluster && !/\{[^{}]+\}/.test(keyPrefix + prefix)) {
    throw notAClient(
      `all keys of a store must be on one node of a cluster: give it a prefix in braces, { prefix: '{mta-sts}:' }`,
    )
  }
  return { command: warningOfEviction(withContext(send)), keyPrefix, isCluster: cluster }
}

function senderOf(
  client: AnyClient,
  notAClient: (why: string) => MtaStsError,
): { send: Command; keyPrefix: string } {
  if ('call' in client && typeof client.call === 'function') {
    const send: Command = (name, ...args) => client.call(name, ...args)
    return { send, keyPrefix: client.options?.keyPrefix ?? '' }
  }
  if (!('sendCommand' in client) || typeof client.sendCommand !== 'function') {
    throw notAClient('it has neither sendCommand() nor call()')
  }
  // A plain client or a pool takes the arguments and options; Sentinel a flag before them, a
  // cluster a key and a flag
  switch (client.sendCommand.length) {
    case 3:
      throw notAClient('clients of Sentinel are not supported')
    case 4: {
      const cluster = client as NodeRedisCluster
      const send: Command = (...args) => cluster.sendCommand(keyOf(args), false, args)
      return { send, keyPrefix: '' }
    }
    default: {
      const plain = client as NodeRedisClient
      return { send: (...args) => plain.sendCommand(args), keyPrefix: '' }
    }
  }
}

function isCluster(client: object): boolean {
  if ('isCluster' in client && client.isCluster === true) return true
  if ('call' in client || !('sendCommand' in client)) return false
  return typeof client.sendCommand === 'function' && client.sendCommand.length === 4
}

/** The first key of a command of ours. */
function keyOf([name, first, , third]: readonly string[]): string | undefined {
  if (name === 'EVAL') return third
  return name === 'CONFIG' ? undefined : first
}

function clientError(caller: string, why: string): MtaStsError {
  return new MtaStsError(
    `${caller}() needs a client of 'redis' (createClient, createCluster) or 'ioredis' (new Redis, new Cluster): ${why}.`,
    'EREDISCLIENT',
  )
}

/** An error of the client says neither where it comes from nor what it means for the mail. */
function withContext(send: Command): Command {
  return async (name, ...args) => {
    try {
      return await send(name, ...args)
    } catch (error) {
      const why = escapeRemoteText(textOfThrown(error))
      throw new MtaStsError(
        `The store in Redis failed at ${name}: ${why}. Check the server and the client's connection.`,
        'ESTORE',
        { cause: error },
      )
    }
  }
}

/**
 * A Redis that evicts keys loses policies and counts that it has acknowledged. After the first
 * write, the setting is asked for once; a server that forbids the question is fine.
 */
function warningOfEviction(command: Command): Command {
  let asked = false
  return async (name, ...args) => {
    const reply = await command(name, ...args)
    if (!asked && name === 'EVAL') {
      asked = true
      void command('CONFIG', 'GET', 'maxmemory-policy').then(warnUnlessNoEviction, () => undefined)
    }
    return reply
  }
}

function warnUnlessNoEviction(reply: unknown): void {
  const policy = settingIn(reply)
  if (policy === undefined || policy === 'noeviction') return
  const error = new MtaStsError(
    `Redis evicts keys when its memory is full (maxmemory-policy ${escapeRemoteText(policy)}), and the store loses what it has acknowledged. Set maxmemory-policy noeviction.`,
    'ESTORE',
  )
  publish('mta-sts:store-failure', () => ({ operation: 'open', error }))
  process.emitWarning(error.message, { code: 'MTA_STS_STORE' })
}

/** The value in a reply to CONFIG GET: a list in RESP2; a Map, an object or a list in RESP3. */
function settingIn(reply: unknown): string | undefined {
  const name = 'maxmemory-policy'
  if (Array.isArray(reply)) return toText(reply[0]) === name ? toText(reply[1]) : undefined
  if (reply instanceof Map) return toText(reply.get(name))
  return typeof reply === 'object' && reply !== null ? toText(Reflect.get(reply, name)) : undefined
}

/** Runs a script, which Redis does in one step: nothing comes between its commands. */
export function evaluate(
  command: Command,
  script: string,
  keys: readonly string[],
  args: readonly string[],
): Promise<unknown> {
  return command('EVAL', script, String(keys.length), ...keys, ...args)
}

/** A string reply, which a client may be set up to bring as a Buffer. Undefined: another reply. */
export function toText(reply: unknown): string | undefined {
  if (typeof reply === 'string') return reply
  if (reply instanceof Uint8Array) return Buffer.from(reply).toString('utf8')
  return undefined
}

/** A reply that must be a string, or nothing. */
export function textReply(name: string, reply: unknown): string | undefined {
  const text = toText(reply)
  if (text === undefined && reply !== null && reply !== undefined) throw unexpected(name, reply)
  return text
}

/** A reply that must be a list. */
export function listReply(name: string, reply: unknown): readonly unknown[] {
  if (Array.isArray(reply)) return reply
  throw unexpected(name, reply)
}

/** A reply that must be a list of strings. */
export function textListReply(name: string, reply: unknown): string[] {
  return listReply(name, reply).map((item) => {
    const text = toText(item)
    if (text === undefined) throw unexpected(name, reply)
    return text
  })
}

/** A reply that must be a whole number, which a client may be set up to bring in other types. */
export function numberReply(name: string, reply: unknown): number {
  const value = typeof reply === 'number' || typeof reply === 'bigint' ? reply : toText(reply)
  const number = value === undefined || value === '' ? Number.NaN : Number(value)
  if (Number.isInteger(number)) return number
  throw unexpected(name, reply)
}

/** The error for a reply that the command cannot have: a proxy, or something that is no Redis. */
export function unexpected(name: string, reply: unknown): MtaStsError {
  const shown = toText(reply) ?? `of type ${Array.isArray(reply) ? 'array' : typeof reply}`
  return new MtaStsError(
    `The store in Redis got a reply to ${name} that this command does not have (${escapeRemoteText(shown.slice(0, 100))}). Check what answers at the client's address.`,
    'ESTORE',
  )
}

/** Redis takes whole, positive milliseconds. A time in the past makes it delete the key at once. */
export function redisTime(milliseconds: number): string {
  return String(Math.max(1, Math.ceil(milliseconds)))
}
