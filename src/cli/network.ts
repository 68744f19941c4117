/**
 * `--resolver`, `--ca` and `--timeout`: the network as the commands use it.
 *
 * @module
 */
import { promises as dns } from 'node:dns'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { Resolver } from '../dns/resolver.js'
import { type MtaStsOptions, resolveOptions, type Settings } from '../options.js'
import { escapeRemoteText, textOfThrown } from '../text.js'
import { wholeNumber } from './arguments.js'
import { type CliContext, UsageError } from './context.js'

export interface NetworkArguments {
  resolver?: string | undefined
  ca?: string | undefined
  timeout?: string | undefined
}

export interface CliNetwork {
  settings: Settings
  /** What the settings were made of, for a core of one's own */
  options: MtaStsOptions
  /** For each DNS query, GET and SMTP session, in milliseconds */
  timeout: number
}

const DEFAULT_TIMEOUT = '10000'
const DNS_PORT = 53
const TIMEOUT_BOUNDS = { min: 1, max: 600_000 }

/** @throws UsageError */
export async function openNetwork(
  { resolver, ca, timeout: text = DEFAULT_TIMEOUT }: NetworkArguments,
  context: CliContext,
): Promise<CliNetwork> {
  const timeout = wholeNumber('--timeout', text, TIMEOUT_BOUNDS)
  const options = {
    resolver: resolver === undefined ? context.resolver : await resolverAt(resolver, timeout),
    ca: ca === undefined ? undefined : await rootsIn(ca),
    dnsTimeout: timeout,
    fetchTimeout: timeout,
    connect: context.connect,
    now: context.now,
  }
  try {
    return { settings: resolveOptions(options), options, timeout }
  } catch (cause) {
    if (ca === undefined || !(cause instanceof TypeError)) throw cause
    throw new UsageError(`--ca ${escapeRemoteText(ca)}: ${cause.message}.`, { cause })
  }
}

async function rootsIn(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (cause) {
    const why = textOfThrown(cause)
    throw new UsageError(`--ca: the file cannot be read (${why}).`, { cause })
  }
}

/**
 * `192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:53`, `2001:db8::1`, `ns.example.com:53`.
 *
 * @throws UsageError
 */
export function nameServer(text: string): { host: string; port: number } {
  if (isIP(text)) return { host: text, port: DNS_PORT }
  const [, literal, name, digits] = /^(?:\[([^[\]]+)\]|([^[\]:]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = literal ?? name
  const port = digits === undefined ? DNS_PORT : Number(digits)
  const isHost = literal === undefined || isIP(literal) === 6
  if (host !== undefined && isHost && port >= 1 && port <= 65_535) return { host, port }
  throw new UsageError(`--resolver takes HOST or HOST:PORT, not "${escapeRemoteText(text)}".`)
}

async function resolverAt(text: string, timeout: number): Promise<Resolver> {
  const { host, port } = nameServer(text)
  const address = isIP(host) ? host : await addressOf(host)
  const resolver = new dns.Resolver({ timeout: Math.ceil(timeout / 2), tries: 2 })
  resolver.setServers([isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`])
  return resolver
}

async function addressOf(host: string): Promise<string> {
  try {
    return (await dns.lookup(host)).address
  } catch (cause) {
    throw new UsageError(`--resolver: there is no host ${escapeRemoteText(host)}.`, { cause })
  }
}

/** The same resolver, asking each question once: all that is shown comes from one answer. */
export function remembering(resolver: Resolver): Resolver {
  return {
    resolveTxt: once((name) => resolver.resolveTxt(name)),
    resolveMx: once((name) => resolver.resolveMx(name)),
    resolve4: once((name) => resolver.resolve4(name)),
    resolve6: once((name) => resolver.resolve6(name)),
  }
}

function once<T>(query: (name: string) => Promise<T>): (name: string) => Promise<T> {
  const answers = new Map<string, Promise<T>>()
  return (name) => {
    const known = answers.get(name)
    if (known !== undefined) return known
    const answer = query(name)
    answers.set(name, answer)
    return answer
  }
}
