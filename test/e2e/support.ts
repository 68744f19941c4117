/** Helpers of the end-to-end tests: a world for a file, senders in it, and checks of outcomes. */
import nodemailer, { type SendMailOptions, type Transporter } from 'nodemailer'
import { afterAll, beforeAll, expect } from 'vitest'
import {
  DeliveryRefusedError,
  MtaSts,
  type MtaStsOptions,
  type TlsFailure,
} from '../../src/index.js'
import {
  type DomainDelivery,
  type MtaStsTransportOptions,
  mtaStsTransport,
  type SentInfo,
} from '../../src/nodemailer/index.js'
import {
  createMailWorld,
  type DomainOptions,
  type MailDomain,
  type MailWorld,
  type MxHost,
} from '../../src/testing/index.js'

export const SENDER = 'me@sender.example'

/** For background work: polled often, with a late limit. */
export const EVENTUALLY = { interval: 5, timeout: 60_000 }

/** A world for the tests of a file, each with its own domain. */
export interface Stage {
  readonly world: MailWorld
  /** A domain with a name that no other test has */
  domain(options?: DomainOptions): MailDomain
  /** An unused name below `example` */
  unusedName(): string
  /**
   * With options, a transporter with its own cache; without, always the same one. Each message has
   * its own connection, so that it meets a fault that was set before it.
   */
  sender(options?: MtaStsTransportOptions): Transporter<SentInfo>
  sts(options?: MtaStsOptions): MtaSts
}

/** Call it at the top of a test file. */
export function useWorld(): Stage {
  let world: MailWorld | undefined
  let names = 0
  let shared: Transporter<SentInfo> | undefined
  const senders: Transporter<SentInfo>[] = []
  const cores: MtaSts[] = []
  beforeAll(async () => {
    world = await createMailWorld()
  })
  afterAll(async () => {
    for (const sender of senders) sender.close()
    await Promise.all(cores.map((core) => core.close()))
    await world?.close()
  })
  const stage: Stage = {
    get world() {
      if (world === undefined) throw new Error('The world is made before the first test')
      return world
    },
    unusedName: () => `d${++names}.example`,
    domain: (options) => stage.world.domain(stage.unusedName(), options),
    sender(options) {
      if (options === undefined) {
        shared ??= stage.sender({})
        return shared
      }
      const transport = mtaStsTransport({ ...stage.world.options(), maxMessages: 1, ...options })
      const sender = nodemailer.createTransport(transport)
      senders.push(sender)
      return sender
    },
    sts(options = {}) {
      const core = new MtaSts({ ...stage.world.options(), ...options })
      cores.push(core)
      return core
    },
  }
  return stage
}

/** A short message to `you@` each of the domains. */
export function messageTo(...domains: Array<MailDomain | string>): SendMailOptions {
  const to = domains.map((domain) => `you@${typeof domain === 'string' ? domain : domain.name}`)
  return { from: SENDER, to, subject: 'Hello', text: 'Hello!' }
}

/** Sends to one domain, which accepts it; returns the outcome. */
export async function deliver(
  sender: Transporter<SentInfo>,
  domain: MailDomain | string,
  more: SendMailOptions = {},
): Promise<DomainDelivery> {
  const { deliveries } = await sender.sendMail({ ...messageTo(domain), ...more })
  return only(deliveries)
}

/** The error that a promise is rejected with. */
export async function errorOf(action: Promise<unknown>): Promise<Error & FailureFields> {
  const outcome = await action.then(
    () => undefined,
    (error: unknown) => ({ error }),
  )
  if (outcome === undefined) throw new Error('It should have failed, but it did not')
  if (outcome.error instanceof Error) return outcome.error
  throw new Error(`It failed with what is no error: ${String(outcome.error)}`)
}

/** Fields of an error of `sendMail` besides its message. */
export interface FailureFields {
  code?: string
  permanent?: boolean
  responseCode?: number
  rejected?: string[]
  rejectedErrors?: Array<Error & FailureFields & { recipient: string }>
  deliveries?: DomainDelivery[]
}

/** Sends to one domain, which is refused: with the right error, temporarily, and without a leak. */
export async function refusal(
  sender: Transporter<SentInfo>,
  domain: MailDomain,
  more: SendMailOptions = {},
): Promise<DeliveryRefusedError> {
  const error = await errorOf(sender.sendMail({ ...messageTo(domain), ...more }))
  expect(error).toBeInstanceOf(DeliveryRefusedError)
  if (!(error instanceof DeliveryRefusedError)) throw error
  expect(error.code).toBe('EMTASTS')
  expect(error.permanent).toBe(false)
  expect(error.policyDomain).toBe(domain.name)
  expect(domain.inbox).toEqual([])
  return error
}

/** Returns failures as text: MX host, type and reason. */
export function failureTexts(failures: readonly TlsFailure[]): string[] {
  return failures.map(({ resultType, reason, mxHost }) =>
    [mxHost, resultType, reason].filter(Boolean).join(' '),
  )
}

/** The host was reached, and no connection to it got to MAIL FROM. */
export function expectReachedWithoutLeak(host: MxHost): void {
  expect(host.connections.length).toBeGreaterThan(0)
  expectNoLeak(host)
}

/** No part of a message reached the host, not even its sender. */
export function expectNoLeak(host: MxHost): void {
  expect(host.connections.map(({ mailFrom }) => mailFrom).filter(Boolean)).toEqual([])
  const said = host.connections.flatMap(({ lines }) =>
    lines.filter(({ from }) => from === 'client'),
  )
  expect(said.filter(({ text }) => !/^(?:EHLO|HELO|STARTTLS|QUIT)\b/i.test(text))).toEqual([])
  expect(host.inbox).toEqual([])
}

export function only<T>(list: readonly T[]): T {
  const [first] = list
  if (first === undefined || list.length !== 1) {
    throw new Error(`There should be exactly one, but there are ${list.length}`)
  }
  return first
}

export function last<T>(list: readonly T[]): T {
  const item = list.at(-1)
  if (item === undefined) throw new Error('There should be one at least')
  return item
}
