/**
 * A world for each test, whatever runs the tests.
 *
 * @module
 */
import type { MailWorld, MailWorldOptions } from './api.js'
import { createMailWorld } from './create.js'
import { checkWorldOptions } from './world.js'

/** Makes a world before each test, and closes it after it. */
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

  /** Closes the world; of a test that failed, it prints what happened first. */
  async end(failed: boolean): Promise<void> {
    const world = this.#current
    this.#current = undefined
    await ended(world, failed)
  }
}

/** Closes a world; of a test that failed, it prints what happened first. */
export async function ended(world: MailWorld | undefined, failed: boolean): Promise<void> {
  if (world === undefined) return
  if (failed) console.error(world.explain())
  await world.close().catch((error: unknown) => {
    // What a strict world says of it when it is closed is no news in a test that failed
    if (!failed) throw error
  })
}

/** Returns an object that is the world of the test that runs. */
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
