/**
 * Runs or starts other programs, and waits for their effects.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'

export interface RunOptions {
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Standard input */
  input?: string
  /** Exit statuses of success; default: 0 */
  statuses?: readonly number[]
}

/** Interval at which a condition is checked, in milliseconds. */
const LOOK = 25

/** Programs that `run` has started and that have not ended. */
const running = new Set<ChildProcess>()

/** Runs a program to its end; returns its standard output. Its stderr is in the error. */
export async function run(
  command: string,
  args: readonly string[],
  { input = '', statuses = [0], ...options }: RunOptions = {},
): Promise<string> {
  // A separate group, so that it can be ended with all its children
  const child = spawn(command, args, { ...options, detached: true, stdio: 'pipe' })
  running.add(child)
  const gone = once(child, 'close')
  child.once('close', () => running.delete(child))
  child.stdin.on('error', () => undefined).end(input)
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), gone])
  if (statuses.includes(child.exitCode ?? -1)) return stdout
  const said = `${stderr}${stdout}`.trim()
  throw new Error(
    `${command} ${args.join(' ')} ended with ${child.exitCode ?? child.signalCode}: ${said}`,
  )
}

/** Like `run`, but synchronous. */
export function runSync(command: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status === 0) return stdout
  throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${stderr}`)
}

/** Ends the programs of `run`, with all their children. */
export function endPrograms(): void {
  for (const { pid } of running) if (pid !== undefined) endProcess(-pid)
}

/** @param pid a process, or, if it is negative, a group */
export function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has already ended
  }
}

/** Waits synchronously. */
export function pauseSync(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK)
}

/** A server in the foreground. Its output goes to a file. */
export class Daemon {
  readonly #name: string
  readonly #child: ChildProcess
  readonly #gone: Promise<unknown>

  constructor(name: string, [command = '', ...args]: readonly string[], output: string) {
    this.#name = name
    const file = openSync(output, 'a')
    this.#child = spawn(command, args, { stdio: ['ignore', file, file] })
    this.#gone = once(this.#child, 'exit')
    this.#gone.catch(() => undefined)
  }

  /** Throws if it has already ended; used while its port is awaited. */
  check(): void {
    const { exitCode, signalCode } = this.#child
    if (exitCode === null && signalCode === null) return
    throw new Error(`${this.#name} ended with ${exitCode ?? signalCode}`)
  }

  /** Ends it, and waits for the end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) return
    this.#child.kill(signal)
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), 5000)
    await this.#gone.catch(() => undefined)
    clearTimeout(kill)
  }
}

/**
 * Waits until `look` returns something other than undefined and false, and returns that.
 *
 * @param what subject of the error: "nginx listens"
 * @throws when that takes longer than `limit` milliseconds
 */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  limit = 20_000,
): Promise<T> {
  const end = performance.now() + limit
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > end) throw new Error(`Waited ${limit} ms in vain until ${what}`)
    await delay(LOOK)
  }
}
