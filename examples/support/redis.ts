/** A Redis for queue.ts: the one that REDIS_URL names, or one that is started for it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'

export interface OpenRedis extends AsyncDisposable {
  client: Redis
}

/** Connects to it. In the end the keys that begin with `prefix` are gone, and what was started. */
export async function openRedis(prefix: string): Promise<OpenRedis> {
  const { REDIS_URL } = process.env
  const server = REDIS_URL ? undefined : await startRedis()
  // As BullMQ wants it: its workers wait for Redis for as long as it takes
  const options = { maxRetriesPerRequest: null, lazyConnect: true }
  const client = new Redis(REDIS_URL || server?.path || '', options)
  client.on('error', (error) => console.error(`Redis: ${error.message}`))
  try {
    await client.connect()
  } catch (error) {
    client.disconnect()
    await server?.stop()
    throw error
  }
  return {
    client,
    async [Symbol.asyncDispose]() {
      for await (const keys of client.scanStream({ match: `${prefix}*` })) {
        if (keys.length > 0) await client.del(...keys)
      }
      await client.quit()
      await server?.stop()
    },
  }
}

/** A redis-server that nobody else can reach: on a socket in a folder of its own. */
async function startRedis() {
  const folder = await mkdtemp(join(tmpdir(), 'mta-sts-queue-'))
  const path = join(folder, 'redis.sock')
  const args = ['--port', '0', '--unixsocket', path, '--dir', folder, '--save', '']
  const server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  // Also when this program comes to a bad end
  process.once('exit', () => server.kill())
  try {
    await new Promise<void>((resolve, reject) => {
      let output = ''
      server.stdout.on('data', (chunk: Buffer) => {
        output += chunk.toString()
        if (/ready to accept connections/i.test(output)) resolve()
      })
      server.once('exit', () => reject(new Error(`redis-server ended:\n${output}`)))
      server.once('error', ({ message }) => {
        reject(new Error(`redis-server does not start (${message}). Install it, or set REDIS_URL.`))
      })
    })
  } catch (error) {
    await rm(folder, { recursive: true })
    throw error
  }
  return {
    path,
    async stop() {
      const ended = once(server, 'exit')
      server.kill()
      await ended
      await rm(folder, { recursive: true })
    },
  }
}
