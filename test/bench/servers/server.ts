/**
 * A server in a separate process, as a benchmark uses it.
 *
 * @module
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { CountsOf, Order, Report, ServerSetup } from './setup.js'

/** The compiled file, beside the bundle with this module. */
const MAIN = fileURLToPath(new URL('./server.js', import.meta.url))

export class Server<Role extends ServerSetup['role']> implements AsyncDisposable {
  readonly port: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
  }

  /** Resolves when it listens on a free port of 127.0.0.1. */
  static async start<Setup extends ServerSetup>(setup: Setup): Promise<Server<Setup['role']>> {
    const child = fork(MAIN, { execArgv: [] })
    const report = await ask(child, { setup, port: 0 })
    if (!('port' in report)) throw new Error('The server did not say its port')
    return new Server(child, report.port)
  }

  /** Returns its counts since the last call. */
  async take(): Promise<CountsOf[Role]> {
    const report = await ask(this.#child, 'take')
    if (!('counts' in report)) throw new Error('The server did not count')
    return report.counts as CountsOf[Role]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.disconnect()
    await exited
  }
}

async function ask(child: ChildProcess, order: Order): Promise<Report> {
  const answered = new AbortController()
  const { signal } = answered
  const answer = Promise.race([
    once(child, 'message', { signal }).then(([report]) => report as Report),
    once(child, 'exit', { signal }).then(() => ({ error: 'its process has ended' })),
  ])
  child.send(order)
  const report = await answer
  answered.abort()
  if ('error' in report) throw new Error(`A server of the benchmark failed: ${report.error}`)
  return report
}
