/**
 * A mail server in a separate process, which reports outcomes of messages by IPC.
 *
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readFileSync } from 'node:fs'
import { until } from '../lab/shell.js'

/** The outcome of a message, in the words of both servers. */
export type Result = 'delivered' | 'deferred' | 'bounced'

/** The used part of a session event of the plugin. */
export interface SeenSession {
  domain: string
  mode: string
  mxHost: string
  /** `certificate-expired (reason)`; undefined: the session succeeded */
  failure?: string
}

export type Report =
  | { what: 'ready' }
  | { what: Result; domain: string; text: string; tls?: boolean; noted?: string }
  | ({ what: 'session' } & SeenSession)
  | { what: 'logged'; domain: string; tls: boolean }

export interface Program {
  name: string
  execPath: string
  args: readonly string[]
  cwd: string
  env: NodeJS.ProcessEnv
  /** The file for its output */
  log: string
}

export class HostProcess {
  readonly reports: Report[] = []
  readonly #program: Program
  readonly #child: ChildProcess
  readonly #gone: Promise<unknown>

  constructor(program: Program) {
    this.#program = program
    const output = openSync(program.log, 'a')
    this.#child = spawn(program.execPath, program.args, {
      cwd: program.cwd,
      env: program.env,
      stdio: ['ignore', output, output, 'ipc'],
    })
    this.#gone = once(this.#child, 'exit')
    this.#gone.catch(() => undefined)
    this.#child.on('message', (message) => this.reports.push(message as Report))
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Its output so far. */
  get output(): string {
    return readFileSync(this.#program.log, 'utf8')
  }

  tell(message: object): void {
    this.#child.send(message)
  }

  /**
   * Waits for a report. @throws with the end of its output when it ends before, or takes too long
   */
  async report(find: (report: Report) => boolean, what: string): Promise<Report> {
    return this.until(what, () => this.reports.find(find))
  }

  async until<T>(
    what: string,
    look: () => T | undefined | false | Promise<T | undefined | false>,
  ): Promise<T> {
    const { name } = this.#program
    return until(`${name}: ${what}`, async () => {
      const { running } = this
      const found = await look()
      if (!found && !running) throw new Error(`${name} has ended`)
      return found
    }).catch((cause) => {
      const tail = this.output.split('\n').slice(-40).join('\n')
      throw new Error(`${cause.message}. The end of its output:\n${tail}`, { cause })
    })
  }

  /** Waits until it has ended, and returns its exit status. */
  async ended(): Promise<number | null> {
    await this.#gone
    return this.#child.exitCode
  }

  async stop(): Promise<void> {
    if (this.running) this.#child.kill('SIGKILL')
    await this.#gone.catch(() => undefined)
  }
}
