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
 * A world for each test of the file, made before it and closed after it. When a test fails, what
 * happened in its world is printed.
 */
export function useMailWorld(options?: MailWorldOptions): MailWorld {
  const worlds = new WorldForEachTest(options)
  beforeEach(() => worlds.begin())
  afterEach((context) => worlds.end('passed' in context && context.passed === false))
  return worlds.world
}

/** What can be asserted of a domain, an MX host or a world. */
export interface MailAssertions {
  /** Messages that fit were taken */
  toHaveReceived(expected?: Received): void
  /** No message that fits was taken */
  toHaveReceivedNothing(expected?: Omit<Received, 'times'>): void
  /** A recipient or a message that fits was refused */
  toHaveRefused(expected?: Refused): void
}

/** What can be asserted, and the opposite of it. */
export interface NegatableAssertions extends MailAssertions {
  /** The opposite */
  not: MailAssertions
}

/** Asserts something of a domain, an MX host or a world, or the opposite: `expectMail(bob).not`. */
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
