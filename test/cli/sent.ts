/** A message sent by the transport in a mail world, and what became of it. */
import { randomUUID } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import nodemailer from 'nodemailer'
import { examine } from '../../src/cli/check/examine.js'
import { openRun } from '../../src/cli/check/open-run.js'
import { type Dane, dane, dnssecResolver } from '../../src/dane/index.js'
import type { Resolver } from '../../src/dns/resolver.js'
import { DeliveryRefusedError } from '../../src/index.js'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import { parsePolicy } from '../../src/policy/policy-file.js'
import type { PolicyStore, StoredPolicy } from '../../src/policy/store.js'
import type { TlsFailure } from '../../src/tls/failures.js'
import type { SendReply } from '../lab/sender.js'
import { type Outcome, type Prediction, predictedBy } from './predicted.js'
import type { Stage } from './support.js'

/** All timeouts of the sender and the command, in milliseconds; a busy machine must not reach it. */
export const PATIENCE = 6000

export interface Sending {
  stage: Stage
  /** The name of the recipient's domain */
  domain: string
  store: PolicyStore
  /** In place of the world's resolver */
  resolver?: Resolver | undefined
  /** Both look at DNSSEC and TLSA records */
  withDane?: boolean | undefined
}

export function memoryStore(): PolicyStore {
  const entries = new Map<string, StoredPolicy>()
  return {
    get: async (domain) => entries.get(domain),
    set: async (domain, entry) => void entries.set(domain, entry),
    delete: async (domain) => void entries.delete(domain),
  }
}

function worldResolver({ world }: Stage) {
  return dnssecResolver({ servers: [world.dns.server], timeout: 3000, tries: 1 })
}

const words = ({
  mxHost,
  resultType,
  reason,
}: SendReply['deliveries'][number]['failures'][number]) =>
  [mxHost, resultType, reason].filter(Boolean).join(' ')

/** Sends a message, and returns the outcome with the account that the sender itself gives. */
export async function bySender(sending: Sending): Promise<{ outcome: Outcome; reply: SendReply }> {
  const { stage, domain, store, withDane } = sending
  const policyFailures: TlsFailure[] = []
  const onFailure = (message: unknown) => {
    const { policyDomain, failure } = message as { policyDomain: string; failure: TlsFailure }
    if (policyDomain === domain) policyFailures.push(failure)
  }
  subscribe('mta-sts:policy-failure', onFailure)
  const { resolver, ...world } = stage.world.options()
  const lookups: { dane?: Dane; resolver?: Resolver } = withDane
    ? { dane: dane({ resolver: worldResolver(stage) }) }
    : { resolver: sending.resolver ?? resolver }
  const transporter = nodemailer.createTransport(
    mtaStsTransport({
      ...{ ...world, ...lookups },
      ...{ store, maxMessages: 1, recheckInterval: 0, refreshInterval: 0 },
      ...{ fetchTimeout: PATIENCE, connectionTimeout: PATIENCE, socketTimeout: PATIENCE },
      greetingTimeout: PATIENCE,
    }),
  )
  // Another sender each time: a host that was given MAIL has it on record, whatever it answered
  const from = `${randomUUID()}@sender.example`
  try {
    const sent = await transporter
      .sendMail({ from, to: `you@${domain}`, text: 'Hello!' })
      .catch((error) => error)
    const reply: SendReply = replyOf(sent)
    const host = stage.world.connections.find(({ mailFrom }) => mailFrom === from)?.mx
    const failures = reply.deliveries.flatMap(({ failures: all }) => all)
    const outcome = host === undefined ? endOf(sent) : 'reached'
    const [policyFailure] = policyFailures.map(words)
    return {
      reply,
      outcome: { outcome, host, failures: failures.map(words).sort(), policyFailure },
    }
  } finally {
    transporter.close()
    unsubscribe('mta-sts:policy-failure', onFailure)
  }
}

type Sent = Pick<Partial<SendReply>, 'deliveries'> &
  Omit<Partial<NonNullable<SendReply['error']>>, 'text'>

/** The account in the form in which the lab's sender gives it. */
function replyOf(sent: Sent): SendReply {
  const { deliveries = [] } = sent
  if (!(sent instanceof Error)) return { deliveries }
  const { message: text, code, permanent, responseCode } = sent
  return {
    deliveries,
    error: {
      text,
      ...(code === undefined ? {} : { code }),
      ...(permanent === undefined ? {} : { permanent }),
      ...(responseCode === undefined ? {} : { responseCode }),
    },
  }
}

function endOf(error: unknown): Outcome['outcome'] {
  if (error instanceof DeliveryRefusedError) return 'refused'
  const permanent = error instanceof Error && 'permanent' in error && error.permanent === true
  return permanent ? 'bounced' : 'deferred'
}

/** Looks at the domain as `check --connect --store` does. */
export async function byCheck(sending: Sending): Promise<Prediction> {
  const { stage, domain, store, withDane } = sending
  const { resolver, connect, now } = stage.world.options()
  const output = { write: () => undefined }
  const timeouts = { fetch: PATIENCE, connection: PATIENCE, reply: PATIENCE }
  const context = {
    ...{ stdout: output, stderr: output, env: {} },
    ...{ resolver: sending.resolver ?? resolver, connect, now, timeouts },
    dnssecResolver: worldResolver(stage),
  }
  const values = { connect: true, dane: withDane, ca: stage.caFile }
  const run = await openRun(values, context, store)
  const stored = await store.get(domain)
  const patterns = stored === undefined ? [] : parsePolicy(stored.body).mx
  return predictedBy(await examine(domain, run, { onStep: () => undefined }), patterns)
}
