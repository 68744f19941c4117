/**
 * A mail world for each test of Jest, or of Bun's runner. Importing it adds the matchers
 * `toHaveReceived`, `toHaveReceivedNothing` and `toHaveRefused` to the global `expect`.
 *
 * ```js
 * const { useMailWorld } = require('mta-sts/testing/jest')
 * const nodemailer = require('nodemailer')
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
 * @module mta-sts/testing/jest
 */
import type { MailWorld, MailWorldOptions } from './api.js'
import { matchers, type Received, type Refused } from './matchers.js'
import { WorldForEachTest } from './runner.js'

export type { MailWorld, MailWorldOptions } from './api.js'
export { createMailWorld } from './create.js'
export type { Received, Refused } from './matchers.js'

/** The used globals of the runner. */
interface Runner {
  expect: { extend(all: typeof matchers): void }
  beforeEach(hook: () => Promise<void>): void
  afterEach(hook: () => Promise<void>): void
}

runner().expect.extend(matchers)

/**
 * Makes a world for each test of the file, and closes it afterwards. When a test fails, the events
 * of its world are printed.
 */
export function useMailWorld(options?: MailWorldOptions): MailWorld {
  const worlds = new WorldForEachTest(options)
  const { beforeEach, afterEach } = runner()
  beforeEach(() => worlds.begin())
  afterEach(() => worlds.end(hasFailed()))
  return worlds.world
}

function runner(): Runner {
  // Bun has them as globals in test files only, and otherwise in a module
  const bun = process.versions.bun === undefined ? undefined : process.getBuiltinModule('bun:test')
  const { expect, beforeEach, afterEach } = (bun ?? globalThis) as Partial<Runner>
  if (expect !== undefined && beforeEach !== undefined && afterEach !== undefined) {
    return { expect, beforeEach, afterEach }
  }
  throw new Error('mta-sts/testing/jest is for test files of Jest, with its globals')
}

/** jest-circus does not pass the result to hooks, but keeps its state in a global. */
function hasFailed(): boolean {
  const symbol = Object.getOwnPropertySymbols(globalThis).find(
    ({ description }) => description === 'JEST_STATE_SYMBOL',
  )
  const state: unknown = symbol === undefined ? undefined : Reflect.get(globalThis, symbol)
  const test = fieldOf(state, 'currentlyRunningTest')
  const errors = fieldOf(test, 'errors')
  return Array.isArray(errors) && errors.length > 0
}

function fieldOf(value: unknown, field: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, field) : undefined
}

declare global {
  namespace jest {
    // biome-ignore lint/complexity/noBannedTypes: as @types/jest declares it
    interface Matchers<R, T = {}> {
      /** Of a domain, an MX host or a world: messages that fit were accepted. */
      toHaveReceived(expected?: Received): R
      /** Of a domain, an MX host or a world: no message that fits was accepted. */
      toHaveReceivedNothing(expected?: Omit<Received, 'times'>): R
      /** Of a domain, an MX host or a world: a recipient or a message was refused. */
      toHaveRefused(expected?: Refused): R
    }
  }
}
