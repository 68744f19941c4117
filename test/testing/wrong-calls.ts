/** Calls of a mail world as from JavaScript, for the tests of wrong calls. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createMailWorld, type MailWorld } from '../../src/testing/index.js'

/** A value of any type, as JavaScript can pass it. */
// biome-ignore lint/suspicious/noExplicitAny: the types would refuse the calls
export type Loose = any

let world: MailWorld
let count = 0

/** Makes the world of a test file. Call it at the top of the file. */
export function useLooseWorld(): void {
  beforeAll(async () => {
    world = await createMailWorld()
    world.domain('bob.example', { mode: 'enforce' })
  })
  afterAll(() => world.close())
}

export const on = {
  world: () => world as Loose,
  bob: () => world.domain('bob.example') as Loose,
  mx: () => world.domain('bob.example').mx() as Loose,
  dns: () => world.domain('bob.example').dns as Loose,
  zone: () => world.dns as Loose,
  clock: () => world.clock as Loose,
  policyHost: () => world.domain('bob.example').policyHost as Loose,
  inbox: () => world.domain('bob.example').inbox as Loose,
}

export const domain = (options: Loose) => on.world().domain(`d${++count}.example`, options)
export const smartHost = (options: Loose) => on.world().smartHost(`s${++count}.example`, options)
export const rule = (fields: Loose) =>
  on.mx().rule({ at: 'rcpt', reply: '550 5.1.1 No', ...fields })

export const followed = (value: Loose, fields: Loose = {}) =>
  rule({ ...fields, ...Object.fromEntries([['then', value]]) })

export const uniqueHost = (): string => `m${++count}.example`

/** A call, and the message of its error: a TypeError by default. */
export type WrongCall = [call: string, act: () => unknown, message: RegExp, type?: ErrorConstructor]

/** Defines a test for each call. */
export function refuses(calls: readonly WrongCall[]): void {
  it.each(calls)('%s', (_, act, message, type = TypeError) => {
    expect(act).toThrow(type)
    expect(act).toThrow(message)
  })
}
