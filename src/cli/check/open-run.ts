/**
 * The set-up of a run: options and limits that `check` and `watch` share.
 *
 * @module
 */
import { hostname } from 'node:os'
import type { Dane } from '../../dane/dane.js'
import { isHostName } from '../../dns/domain-name.js'
import { Gate } from '../../net/gate.js'
import type { PolicyStore } from '../../policy/store.js'
import { escapeRemoteText } from '../../text.js'
import { COMMON_OPTIONS, NETWORK_OPTIONS } from '../arguments.js'
import { complain } from '../complain.js'
import { type CliContext, UsageError } from '../context.js'
import { remembering } from '../name-servers.js'
import { type NetworkArguments, nameServer, openNetwork } from '../network.js'
import type { Run } from './examine.js'
import { MAX_SOCKETS, Sessions } from './sessions.js'
import { boundedConnect } from './slots.js'

export const RUN_OPTIONS = {
  ...COMMON_OPTIONS,
  ...NETWORK_OPTIONS,
  connect: { type: 'boolean' },
  dane: { type: 'boolean' },
  name: { type: 'string' },
  file: { type: 'string' },
} as const

/** The part of the command line that a run depends on. */
export interface RunArguments extends NetworkArguments {
  connect?: boolean | undefined
  dane?: boolean | undefined
  name?: string | undefined
}

/** Limits where the command line says nothing else. */
export const LIMITS = {
  /** Domains that are looked at beside each other */
  concurrency: 32,
  /** For a domain, in milliseconds */
  deadline: 300_000,
  /** For each of several domains, in milliseconds */
  deadlineOfMany: 60_000,
} as const

/** Opens everything that the domains of a run share. @throws UsageError */
export async function openRun(
  values: RunArguments,
  context: CliContext,
  store: PolicyStore | undefined,
): Promise<Run> {
  const name = ehloName(values.name)
  const { settings: found, smtp, shortened } = await openNetwork(values, context)
  const connect = boundedConnect(found.connect, MAX_SOCKETS)
  const settings = { ...found, connect, resolver: remembering(found.resolver) }
  const slots = new Gate(MAX_SOCKETS)
  const sessions = values.connect
    ? new Sessions({ settings, smtp, name, shortened }, slots)
    : undefined
  const dane = values.dane ? await openDane(values.resolver, context) : undefined
  if (dane !== undefined && !(await dane.probe())) complain(NO_VALIDATION, context)
  return { settings, slots, sessions, dane, store, shortened, assessments: new Map() }
}

const NO_VALIDATION =
  '--dane: the name server does not validate DNSSEC, or does not answer, and no TLSA record counts. Name one that does: --resolver H[:P]'

/** Most users of the command have no use for this part of the package. */
async function openDane(resolver: string | undefined, context: CliContext): Promise<Dane> {
  const { dane } = await import('../../dane/create.js')
  const { dnssecResolver } = await import('../../dane/dnssec-resolver.js')
  if (context.dnssecResolver !== undefined) return dane({ resolver: context.dnssecResolver })
  if (resolver === undefined) return dane()
  const { host, port } = nameServer(resolver)
  const server = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  // No mail depends on the answers: whoever names a resolver here may trust it
  return dane({ resolver: dnssecResolver({ servers: [server], trustAd: true }) })
}

function ehloName(given: string | undefined): string {
  if (given === undefined) return isHostName(hostname()) ? hostname() : '[127.0.0.1]'
  if (isHostName(given)) return given
  throw new UsageError(`--name takes a host name, not "${escapeRemoteText(given)}".`)
}
