/**
 * A world for each test, in any test runner.
 *
 * @module
 */
import type { MailWorld, MailWorldOptions } from './api.js'
import { createMailWorld } from './create.js'
import { checkWorldOptions } from './world.js'

/** Makes a world before each test, and closes it afterwards. */
export class WorldForEachTest {
  readonly world: MailWorld
  readonly #options: MailWorldOptions
  #current: MailWorld | undefined

  constructor(options: MailWorldOptions = {}) {
    checkWorldOptions(options)
    this.#options = options
    this.world = standIn(() => this.#current)
  }

  async begin(): Promise<void> {
    this.#current = await createMailWorld(this.#options)
  }

  /** Closes the world, after printing its events if the test failed. */
  async end(failed: boolean): Promise<void> {
    const world = this.#current
    this.#current = undefined
    await ended(world, failed)
  }
}

/** Closes a world, after printing its events if the test failed. */
export async function ended(world: MailWorld | undefined, failed: boolean): Promise<void> {
  if (world === undefined) return
  if (failed) console.error(world.explain())
  await world.close().catch((error: unknown) => {
    // The test has failed already: the error of a strict world adds nothing
    if (!failed) throw error
  })
}

/** Returns an object that stands for the world of the running test. */
function standIn(current: () => MailWorld | undefined): MailWorld {
  return new Proxy({} as MailWorld, {
    get: (_target, key) => {
      const world = current()
      if (world === undefined) throw new Error('There is a mail world only while a test runs')
      const value: unknown = Reflect.get(world, key, world)
      return typeof value === 'function' ? value.bind(world) : value
    },
    has: (_target, key) => key in (current() ?? {}),
  })
}
