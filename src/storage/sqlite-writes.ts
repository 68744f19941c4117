/**
 * Reads and writes a SQLite file that other processes use as well.
 *
 * Node's SQLite is synchronous. So that a delivery waits neither for another process nor for more
 * than one disk flush, writes that are requested in the same turn of the event loop share a
 * transaction, and a lock of another process is awaited with a timer, not inside SQLite.
 *
 * @module
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { MtaStsError } from '../errors.js'
import { publish } from '../events.js'
import { textOfThrown } from '../text.js'
import {
  type FileFormat,
  identityOf,
  isBusy,
  type OpenDatabase,
  openDatabase,
} from './sqlite-file.js'

export interface SharedFileOptions<S> {
  path: string
  format: FileFormat<S>
  /** Time for which an operation waits for other processes, in milliseconds */
  busyTimeout: number
  /** Work that every transaction does after its writes */
  afterWrites?: (statements: S) => void
}

interface Write<S> {
  run(statements: S): void
  resolve(): void
  reject(error: unknown): void
}

/** Maximum number of writes in one transaction. */
export const GROUP_LIMIT = 128

/** One connection to a file that other processes write to as well. */
export class SharedFile<S> {
  readonly #options: SharedFileOptions<S>
  readonly #queue: Write<S>[] = []
  #open: OpenDatabase<S> | undefined
  #flushing: Promise<void> | undefined
  #closed = false

  /**
   * Opens the file. If another process has locked it, the first operation opens it: a busy file
   * must not keep a mailer from starting.
   *
   * @throws as `openDatabase`
   */
  constructor(options: SharedFileOptions<S>) {
    this.#options = options
    try {
      this.#open = openDatabase(options.path, options.format)
    } catch (error) {
      if (!isBusy(error)) throw error
    }
  }

  /**
   * Resolves to the result of `run`, which is called again while another process locks the file.
   */
  async read<T>(run: (statements: S) => T): Promise<T> {
    this.#mustBeOpen()
    return this.#patiently(({ statements }) => run(statements))
  }

  /** Resolves when the transaction of `run` is on disk. */
  async write<T>(run: (statements: S) => T): Promise<T> {
    this.#mustBeOpen()
    return new Promise<T>((resolve, reject) => {
      let result: { value: T } | undefined
      this.#queue.push({
        run: (statements) => {
          result = { value: run(statements) }
        },
        resolve: () => result && resolve(result.value),
        reject,
      })
      this.#flushing ??= this.#flush()
    })
  }

  /** Writes the queue, then closes the file. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#flushing
    this.#open?.database.close()
  }

  async #flush(): Promise<void> {
    while (this.#queue.length > 0) {
      // Includes what this turn of the event loop still requests
      await nextTurn()
      await this.#commit(this.#queue.splice(0, GROUP_LIMIT))
    }
    this.#flushing = undefined
  }

  async #commit(group: readonly Write<S>[]): Promise<void> {
    try {
      await this.#patiently((open) => this.#transact(open, group))
      for (const write of group) write.resolve()
    } catch (error) {
      if (group.length === 1 || isBusy(error)) {
        for (const write of group) write.reject(error)
        return
      }
      // One write that SQLite refuses must not fail the others
      for (const write of group) await this.#commit([write])
    }
  }

  #transact({ database, statements }: OpenDatabase<S>, group: readonly Write<S>[]): void {
    database.exec('BEGIN IMMEDIATE')
    try {
      for (const write of group) write.run(statements)
      this.#options.afterWrites?.(statements)
      database.exec('COMMIT')
    } catch (error) {
      rollBack(database)
      throw error
    }
  }

  /**
   * Waits for other processes between tries, not inside SQLite, where waiting would stop the event
   * loop and every delivery.
   */
  async #patiently<T>(run: (open: OpenDatabase<S>) => T): Promise<T> {
    const { path, busyTimeout } = this.#options
    const deadline = performance.now() + busyTimeout
    for (;;) {
      try {
        return run(this.#current())
      } catch (error) {
        if (!isBusy(error) || performance.now() >= deadline) throw operationError(error, path)
      }
      // Random, so that two waiting processes do not collide again and again
      await sleep(1 + Math.random() * 10)
    }
  }

  /**
   * Returns the open file; reopens it if the path leads to another file or to none: writes to a
   * deleted file would be acknowledged and lost.
   */
  #current(): OpenDatabase<S> {
    const { path, format } = this.#options
    if (this.#open !== undefined && !this.#isCurrent(this.#open)) {
      this.#open.database.close()
      this.#open = undefined
      this.#tellReplaced(path)
    }
    this.#open ??= openDatabase(path, format)
    return this.#open
  }

  #isCurrent({ identity }: OpenDatabase<S>): boolean {
    const now = identityOf(this.#options.path)
    return now?.ino === identity?.ino && now?.dev === identity?.dev
  }

  #tellReplaced(path: string): void {
    const error = new MtaStsError(
      `The store ${path} was deleted or replaced while it was open. It is opened again; its content is lost. Find out who removes it.`,
      'ESTORE',
    )
    publish('mta-sts:store-failure', () => ({ operation: 'open', error }))
    process.emitWarning(error.message, { code: 'MTA_STS_STORE' })
  }

  #mustBeOpen(): void {
    if (!this.#closed) return
    throw new MtaStsError(`The store ${this.#options.path} has been closed.`, 'ESTORE')
  }
}

function rollBack(database: { exec(sql: string): void }): void {
  try {
    database.exec('ROLLBACK')
  } catch {
    // A full disk and similar errors have rolled back already; the first error says why
  }
}

function operationError(error: unknown, path: string): unknown {
  if (error instanceof MtaStsError && !isBusy(error)) return error
  const hint = isBusy(error)
    ? 'Another process has locked it for too long.'
    : 'Check the disk and who else writes there.'
  const message = `The store ${path} failed: ${textOfThrown(error)}. ${hint}`
  const cause = error instanceof MtaStsError ? error.cause : error
  return new MtaStsError(message, 'ESTORE', { cause })
}
