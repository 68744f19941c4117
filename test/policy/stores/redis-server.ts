/** A real redis-server as a child process, for redis.test.ts. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** The reason why no redis-server can be started here; undefined if one can. */
export function whyNoRedis(): string | undefined {
  const { error, status } = spawnSync('redis-server', ['--version'])
  if (error !== undefined) return `redis-server is not installed (${error.message})`
  return status === 0 ? undefined : `redis-server --version ended with ${status}`
}

/** One server on a free port of 127.0.0.1. */
export class RedisServer {
  #folder = ''
  readonly #keeps: string[]
  #process: ChildProcess | undefined
  port = 0

  /** 'on disk': every write is there before it is acknowledged, and read at the next start. */
  constructor(keeps: 'on disk' | 'in memory', options: readonly string[] = []) {
    const onDisk = keeps === 'on disk'
    this.#keeps = ['--appendonly', onDisk ? 'yes' : 'no', '--appendfsync', 'always', ...options]
  }

  /** Resolves when it accepts commands; on the same port as before. */
  async start(): Promise<void> {
    if (this.port === 0) this.port = await freePort()
    if (this.#folder === '') this.#folder = mkdtempSync(join(tmpdir(), 'mta-sts-redis-'))
    const where = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder]
    const server = spawn('redis-server', [...where, '--save', '', ...this.#keeps], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#process = server
    await saysReady(server)
  }

  /** Kills it as a crash or the OOM killer would, without notice to the clients. */
  async kill(): Promise<void> {
    const server = this.#process
    if (server === undefined) return
    this.#process = undefined
    const exited = once(server, 'exit')
    server.kill('SIGKILL')
    await exited
  }

  /** Ends it permanently and removes its files. */
  async dispose(): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function knowsAllSlots(port: number): boolean {
  const { stdout } = spawnSync('redis-cli', ['-p', String(port), 'cluster', 'info'], {
    encoding: 'utf8',
  })
  return stdout.includes('cluster_state:ok')
}

async function saysReady(server: ChildProcess): Promise<void> {
  let output = ''
  await new Promise<void>((resolve, reject) => {
    server.once('exit', () => reject(new Error(`redis-server ended:\n${output}`)))
    server.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString('latin1')
      if (output.includes('Ready to accept connections')) resolve()
    })
  })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Three servers that share the slots of a Redis Cluster. */
export class RedisCluster {
  readonly #servers = Array.from(
    { length: 3 },
    () => new RedisServer('in memory', ['--cluster-enabled', 'yes']),
  )

  get ports(): number[] {
    return this.#servers.map(({ port }) => port)
  }

  /** Resolves when every node has its slots. */
  async start(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.start()))
    const nodes = this.ports.map((port) => `127.0.0.1:${port}`)
    const create = ['--cluster', 'create', ...nodes, '--cluster-yes']
    const { status, stdout, stderr } = spawnSync('redis-cli', create, { encoding: 'utf8' })
    if (status !== 0) throw new Error(`redis-cli --cluster create failed: ${stdout}${stderr}`)
    // Nodes learn of each other's slots by gossip
    while (!this.ports.every(knowsAllSlots)) await sleep(50)
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.dispose()))
  }
}
