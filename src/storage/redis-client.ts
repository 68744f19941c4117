/**
 * One function that sends a command with any Redis client: `redis` (node-redis) and `ioredis`,
 * plain, pooled or of a cluster; and checks of the replies.
 *
 * @module
 */

import { MtaStsError } from '../errors.js'
import { publish } from '../events.js'
import { optionError } from '../option-checks.js'
import { escapeRemoteText, textOfThrown } from '../text.js'

/**
 * The used part of a client of the package `redis`, made by `createClient` or `createClientPool`.
 */
export interface NodeRedisClient {
  /** Sends one command, its name first; resolves to the reply */
  sendCommand(args: string[]): Promise<unknown>
}

/** The used part of a client of the package `redis`, made by `createCluster`. */
export interface NodeRedisCluster {
  /** Sends one command to the node that has the key */
  sendCommand(
    firstKey: string | undefined,
    isReadonly: boolean | undefined,
    args: string[],
  ): Promise<unknown>
}

/** The used part of a client of the package `ioredis`, made by `new Redis()` or `new Cluster()`. */
export interface IoRedisClient {
  /** Sends one command; resolves to the reply */
  call(command: string, ...args: string[]): Promise<unknown>
  /** ioredis puts a `keyPrefix` before every key; the store takes it into account */
  options?: { keyPrefix?: string | undefined }
}

/** A client of `redis` (node-redis) or of `ioredis`. */
export type RedisClient = NodeRedisClient | IoRedisClient

type AnyClient = RedisClient | NodeRedisCluster

/** Sends one command. Rejects with an MtaStsError `ESTORE`. */
export type Command = (name: string, ...args: string[]) => Promise<unknown>

export interface Adapter {
  command: Command
  /** Prefix that the client adds to every key; replies to SCAN include it */
  keyPrefix: string
  /** Whether commands without a key reach any one of several nodes */
  isCluster: boolean
}

/**
 * Adapts any kind of client. ioredis also has a `sendCommand`, so `call` decides.
 *
 * @param caller the function that was given the client, for the error
 * @param prefix beginning of the store's keys
 * @throws MtaStsError with code `EREDISCLIENT`
 */
export function adapt(client: AnyClient, caller: string, prefix: string): Adapter {
  const notAClient = (why: string) => clientError(caller, why)
  if (typeof client !== 'object' || client === null) throw notAClient('it is none')
  if (typeof prefix !== 'string') throw optionError('prefix', 'must be text', prefix)
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

/** Adds the source and the consequence to the client's errors. */
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
 * Warns about a Redis that evicts keys: it loses acknowledged policies and counts. The setting is
 * read once, after the first write; a server may forbid that.
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

/**
 * Returns the value in a reply to CONFIG GET: a list in RESP2; a Map, an object or a list in RESP3.
 */
function settingIn(reply: unknown): string | undefined {
  const name = 'maxmemory-policy'
  if (Array.isArray(reply)) return toText(reply[0]) === name ? toText(reply[1]) : undefined
  if (reply instanceof Map) return toText(reply.get(name))
  return typeof reply === 'object' && reply !== null ? toText(Reflect.get(reply, name)) : undefined
}

/** Runs a script, which Redis does in one step: no command runs in between. */
export function evaluate(
  command: Command,
  script: string,
  keys: readonly string[],
  args: readonly string[],
): Promise<unknown> {
  return command('EVAL', script, String(keys.length), ...keys, ...args)
}

/** Returns a string reply, which some clients return as a Buffer. Undefined: another reply. */
export function toText(reply: unknown): string | undefined {
  if (typeof reply === 'string') return reply
  if (reply instanceof Uint8Array) return Buffer.from(reply).toString('utf8')
  return undefined
}

/** Returns a reply that must be a string, or nil. */
export function textReply(name: string, reply: unknown): string | undefined {
  const text = toText(reply)
  if (text === undefined && reply !== null && reply !== undefined) throw unexpected(name, reply)
  return text
}

export function listReply(name: string, reply: unknown): readonly unknown[] {
  if (Array.isArray(reply)) return reply
  throw unexpected(name, reply)
}

/** Returns a reply that must be a list of strings. */
export function textListReply(name: string, reply: unknown): string[] {
  return listReply(name, reply).map((item) => {
    const text = toText(item)
    if (text === undefined) throw unexpected(name, reply)
    return text
  })
}

/** Returns a reply that must be a whole number, in any of the types that clients use. */
export function numberReply(name: string, reply: unknown): number {
  const value = typeof reply === 'number' || typeof reply === 'bigint' ? reply : toText(reply)
  const number = value === undefined || value === '' ? Number.NaN : Number(value)
  if (Number.isInteger(number)) return number
  throw unexpected(name, reply)
}

/** Creates the error for an impossible reply: a proxy, or another kind of server, sent it. */
export function unexpected(name: string, reply: unknown): MtaStsError {
  const shown = toText(reply) ?? `of type ${Array.isArray(reply) ? 'array' : typeof reply}`
  return new MtaStsError(
    `The store in Redis got a reply to ${name} that this command does not have (${escapeRemoteText(shown.slice(0, 100))}). Check what answers at the client's address.`,
    'ESTORE',
  )
}

/**
 * Returns whole, positive milliseconds, as Redis demands. A time in the past deletes the key at
 * once.
 */
export function redisTime(milliseconds: number): string {
  return String(Math.max(1, Math.ceil(milliseconds)))
}
