/**
 * The command of `--run`.
 *
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { onAbort } from '../../net/deadline.js'
import { textOfThrown } from '../../text.js'
import { complain } from '../complain.js'
import type { CliContext, Output } from '../context.js'

export interface RunCommandOptions {
  context: CliContext
  env: CliContext['env']
  /** Receives the standard output of the command */
  output: Output
  /** The time after which the command is ended, in milliseconds; default a minute */
  limit?: number
}

/** A command that hangs would keep `watch` from looking. */
const LIMIT = 60_000

/** From the end of the shell to that of its output, which a process in its background may hold. */
const REST = 1000

/** Runs a command by the shell, and reports a failure. Ctrl-C and the limit end all its processes. */
export function runCommand(command: string, options: RunCommandOptions): Promise<void> {
  const { context, env, output, limit = LIMIT } = options
  const { signal } = context
  if (signal?.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    // In a process group of its own, so that what the shell starts ends with it
    const child = spawn(command, {
      shell: true,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let rest: NodeJS.Timeout | undefined
    const settle = (problem: string | undefined) => {
      for (const timer of [late, rest]) clearTimeout(timer)
      release()
      if (problem !== undefined) complain(`--run: the command ${problem}`, context)
      resolve()
    }
    const late = setTimeout(() => {
      endGroup(child)
      settle(`did not end within ${limit / 1000} seconds, and was ended`)
    }, limit)
    const release = onAbort(signal, () => {
      endGroup(child)
      settle(undefined)
    })
    const ended = (code: number | null, killer: NodeJS.Signals | null) =>
      settle(code === 0 ? undefined : `failed (${killer ?? `status ${code}`})`)
    child.stdout.on('data', (chunk: Buffer) => output.write(chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => context.stderr.write(chunk.toString()))
    child.once('error', (error) => settle(`failed (${textOfThrown(error)})`))
    child.once('close', ended)
    child.once('exit', (code, killer) => {
      rest = setTimeout(() => ended(code, killer), REST)
    })
  })
}

function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended by itself
  }
}
