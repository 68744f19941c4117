/**
 * A mail world for each test of Vitest. Importing it adds the matchers `toHaveReceived`,
 * `toHaveReceivedNothing` and `toHaveRefused` to `expect`.
 *
 * ```ts
 * import nodemailer from 'nodemailer'
 * import { useMailWorld } from 'mta-sts/testing/vitest'
 * import { expect, test } from 'vitest'
 *
 * const world = useMailWorld()
 *
 * test('welcomes', async () => {
 *   const bob = world.domain('bob.example')
 *   const transporter = nodemailer.createTransport(world.nodemailer())
 *   await transporter.sendMail({ from: 'me@shop.example', to: 'b@bob.example', subject: 'Welcome' })
 *   expect(bob).toHaveReceived({ to: 'b@bob.example', subject: 'Welcome', times: 1 })
 * })
 * ```
 *
 * Guide: [Testing a program that sends mail](../../docs/testing.md).
 *
 * @module mta-sts/testing/vitest
 */
import { afterEach, beforeEach, expect, type TestAPI, test as vitestTest } from 'vitest'
import type { MailWorld, MailWorldOptions } from './api.js'
import {
  createMailWorld,
  ended,
  matchers,
  type Received,
  type Refused,
  WorldForEachTest,
} from './runner-parts.js'

export type { MailWorld, MailWorldOptions } from './api.js'
export { createMailWorld, type Received, type Refused } from './runner-parts.js'

expect.extend(matchers)

/**
 * Makes a world for each test of the file, and closes it afterwards. When a test fails, the events
 * of its world are printed.
 */
export function useMailWorld(options?: MailWorldOptions): MailWorld {
  const worlds = new WorldForEachTest(options)
  beforeEach(() => worlds.begin())
  afterEach(({ task }) => worlds.end(task.result?.state === 'fail'))
  return worlds.world
}

/** Fixtures of a test. */
export interface WorldFixture {
  /** A world for this test only */
  world: MailWorld
}

/**
 * Vitest's `test` with a world for each test that asks for one; for `test.concurrent`.
 *
 * @example
 * test.concurrent('welcomes', async ({ world }) => {})
 */
export const test: TestAPI<WorldFixture> = vitestTest.extend<WorldFixture>({
  world: async ({ task }, use) => {
    const world = await createMailWorld()
    await use(world)
    await ended(world, task.result?.state === 'fail')
  },
})

declare module 'vitest' {
  interface Matchers<T> {
    /** Of a domain, an MX host or a world: messages that fit were accepted. */
    toHaveReceived(expected?: Received): T
    /** Of a domain, an MX host or a world: no message that fits was accepted. */
    toHaveReceivedNothing(expected?: Omit<Received, 'times'>): T
    /** Of a domain, an MX host or a world: a recipient or a message was refused. */
    toHaveRefused(expected?: Refused): T
  }
}
