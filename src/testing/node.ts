/**
 * A mail world for each test of node:test, and assertions: {@link expectMail}.
 *
 * ```ts
 * import { test } from 'node:test'
 * import nodemailer from 'nodemailer'
 * import { expectMail, useMailWorld } from 'mta-sts/testing/node'
 *
 * const world = useMailWorld()
 *
 * test('welcomes', async () => {
 *   const bob = world.domain('bob.example')
 *   const transporter = nodemailer.createTransport(world.nodemailer())
 *   await transporter.sendMail({ from: 'me@shop.example', to: 'b@bob.example', subject: 'Welcome' })
 *   expectMail(bob).toHaveReceived({ to: 'b@bob.example', subject: 'Welcome', times: 1 })
 * })
 * ```
 *
 * Guide: [Testing a program that sends mail](../../docs/testing.md).
 *
 * @module mta-sts/testing/node
 */
import { AssertionError } from 'node:assert'
import { afterEach, beforeEach } from 'node:test'
import type { MailWorld, MailWorldOptions } from './api.js'
import { matchers, type Received, type Refused, type Verdict } from './matchers.js'
import { WorldForEachTest } from './runner.js'

export type { MailWorld, MailWorldOptions } from './api.js'
export { createMailWorld } from './create.js'
export type { Received, Refused } from './matchers.js'

/**
 * Makes a world for each test of the file, and closes it afterwards. When a test fails, the events
 * of its world are printed.
 */
export function useMailWorld(options?: MailWorldOptions): MailWorld {
  const worlds = new WorldForEachTest(options)
  beforeEach(() => worlds.begin())
  afterEach((context) => worlds.end('passed' in context && context.passed === false))
  return worlds.world
}

/** Assertions about a domain, an MX host or a world. */
export interface MailAssertions {
  /** Messages that fit were accepted */
  toHaveReceived(expected?: Received): void
  /** No message that fits was accepted */
  toHaveReceivedNothing(expected?: Omit<Received, 'times'>): void
  /** A recipient or a message that fits was refused */
  toHaveRefused(expected?: Refused): void
}

/** Assertions and their opposites. */
export interface NegatableAssertions extends MailAssertions {
  /** The opposite */
  not: MailAssertions
}

/**
 * Returns assertions about a domain, an MX host or a world; `expectMail(bob).not` has the opposite.
 */
export function expectMail(received: unknown): NegatableAssertions {
  return { ...assertions(received, true), not: assertions(received, false) }
}

function assertions(received: unknown, pass: boolean): MailAssertions {
  const assert = (verdict: Verdict): void => {
    if (verdict.pass !== pass) throw new AssertionError({ message: verdict.message() })
  }
  return {
    toHaveReceived: (expected) => assert(matchers.toHaveReceived(received, expected)),
    toHaveReceivedNothing: (expected) => assert(matchers.toHaveReceivedNothing(received, expected)),
    toHaveRefused: (expected) => assert(matchers.toHaveRefused(received, expected)),
  }
}
