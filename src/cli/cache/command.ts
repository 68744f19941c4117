/**
 * `mta-sts cache`.
 *
 * @module
 */

import type { PolicyStore } from '../../policy/store.js'
import { escapeRemoteText } from '../../text.js'
import {
  COMMON_HELP,
  COMMON_OPTIONS,
  domainArgument,
  NETWORK_HELP,
  NETWORK_OPTIONS,
  parseArguments,
} from '../arguments.js'
import { complain } from '../complain.js'
import { type CliContext, type Command, EXIT, type ExitStatus, UsageError } from '../context.js'
import { toJson } from '../layout.js'
import { openStore, STORE_HELP } from '../store.js'
import { screenOf } from '../terminal.js'
import { copy } from './copy.js'
import { type CacheOutput, entriesOf, entryOf } from './entries.js'
import { refresh } from './refresh.js'
import { renderEntry, renderList } from './render.js'

const OPTIONS = {
  ...COMMON_OPTIONS,
  ...NETWORK_OPTIONS,
  store: { type: 'string' },
  prefix: { type: 'string' },
} as const

const HELP = `\
Usage: mta-sts cache --store STORE [list]
       mta-sts cache --store STORE show DOMAIN
       mta-sts cache --store STORE remove DOMAIN
       mta-sts cache --store STORE refresh
       mta-sts cache copy STORE STORE

The policies that a sender has cached: which, since when, until when. "remove"
reaches the senders that use the store when they next look at the domain's TXT
record. "refresh" fetches those anew that were used in the last 30 days. "copy"
puts the policies of the first store into the second, which is made if need be.

${STORE_HELP}
${NETWORK_HELP}
${COMMON_HELP}

Exit status: 0 done; 1 nothing is cached for the domain, or a policy could not
be refreshed; 2 wrong usage; 3 the store cannot be opened, or fails. A store in
SQLite needs Node 22.13 or later; one in Redis needs the package redis.

JSON (--json), stable while "format" is 1: fields are added, never changed
  list     { "format": 1, "policies": [ { "domain", "mode", "id", "fetchedAt",
             "expiresAt", "usedAt", "expired", "body" } ] }
  show     { "format": 1, "policy": null or one of these }
  remove   { "format": 1, "domain", "removed" }
  refresh  { "format": 1, "checked", "renewed", "changed", "failed", "dropped",
             "failures": [ text ] }
  copy     { "format": 1, "copied", "skipped" }
  "mode" is null where "body" is no policy file.
`

const ACTIONS = ['list', 'show', 'remove', 'refresh'] as const

type Action = (typeof ACTIONS)[number]

export const cache: Command = {
  summary: 'the policies that a sender has cached',
  help: HELP,
  async run(argv, context) {
    const { values, positionals } = parseArguments(argv, OPTIONS)
    if (positionals[0] === 'copy') return copyBetween(positionals.slice(1), values, context)
    const [action, domain] = readAction(positionals)
    if (values.store === undefined) throw new UsageError('Which store? --store sqlite:PATH')
    const { store, close } = await openStore(values.store, values.prefix)
    const output = { context, json: values.json === true }
    try {
      switch (action) {
        case 'list':
          return await list(store, output)
        case 'show':
          return await show(store, domain, output)
        case 'remove':
          return await remove(store, domain, output)
        case 'refresh':
          return await refresh(store, values, output)
      }
    } finally {
      await close()
    }
  },
}

async function copyBetween(
  stores: readonly string[],
  { store, prefix, json }: { store?: string; prefix?: string; json?: boolean },
  context: CliContext,
): Promise<ExitStatus> {
  const [from, to, ...rest] = stores
  if (from === undefined || to === undefined || rest.length > 0 || store !== undefined) {
    throw new UsageError(
      'copy takes two stores and no --store: cache copy sqlite:PATH redis://HOST',
    )
  }
  return copy(from, to, { context, json: json === true, prefix })
}

/** Reads the action and its domain; the domain is empty where the action takes none. */
function readAction(positionals: readonly string[]): [Action, string] {
  const [name = 'list', ...rest] = positionals
  const action = ACTIONS.find((one) => one === name)
  if (action === undefined) {
    throw new UsageError(
      `cache takes ${ACTIONS.join(', ')}, copy, not "${escapeRemoteText(name)}".`,
    )
  }
  const needsDomain = action === 'show' || action === 'remove'
  if (rest.length !== (needsDomain ? 1 : 0)) {
    throw new UsageError(
      needsDomain ? `Which domain? ${action} DOMAIN` : `${action} takes no more.`,
    )
  }
  return [action, rest.map(domainArgument)[0] ?? '']
}

async function list(store: PolicyStore, { context, json }: CacheOutput): Promise<ExitStatus> {
  const { entries, error } = await entriesOf(store, nowIn(context))
  const text = json
    ? toJson({ format: 1, policies: entries })
    : renderList(entries, screenOf(context.stdout, context.env).width)
  context.stdout.write(text)
  if (error !== undefined) throw error
  return EXIT.fine
}

async function show(
  store: PolicyStore,
  domain: string,
  { context, json }: CacheOutput,
): Promise<ExitStatus> {
  const now = nowIn(context)
  const policy = await entryOf(store, domain, now)
  if (json) context.stdout.write(toJson({ format: 1, policy: policy ?? null }))
  else if (policy === undefined) nothingCached(domain, context)
  else context.stdout.write(renderEntry(policy, now))
  return policy === undefined ? EXIT.unprotected : EXIT.fine
}

async function remove(
  store: PolicyStore,
  domain: string,
  { context, json }: CacheOutput,
): Promise<ExitStatus> {
  const removed = await isCached(store, domain, nowIn(context))
  await store.delete(domain)
  if (json) context.stdout.write(toJson({ format: 1, domain, removed }))
  else if (removed) context.stdout.write(`Removed ${domain}\n${consequenceOf(store)}`)
  else nothingCached(domain, context)
  return removed ? EXIT.fine : EXIT.unprotected
}

/** Tells whether there is an entry; one that cannot be read can be removed, too. */
async function isCached(store: PolicyStore, domain: string, now: number): Promise<boolean> {
  try {
    return (await entryOf(store, domain, now)) !== undefined
  } catch (error) {
    if (error instanceof UsageError) throw error
    return true
  }
}

/** Returns when senders notice the removal: they have policies in memory, too. */
function consequenceOf(store: PolicyStore): string {
  return 'removedAt' in store
    ? `\
Senders that use this store drop the policy when they next look at the domain's
TXT record: within 5 minutes, unless their recheckInterval says otherwise. They
fetch the policy anew if the domain still has one.
`
    : `\
Senders that run now go on under the policy until they are started anew.
`
}

function nothingCached(domain: string, context: CliContext): void {
  complain(`No policy of ${domain} is cached.`, context)
}

function nowIn({ now = Date.now }: CliContext): number {
  return now()
}
