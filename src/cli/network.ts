/**
 * `--resolver`, `--ca` and `--timeout`: the network as the commands use it.
 *
 * @module
 */
import { promises as dns } from 'node:dns'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { defaultResolver, type Resolver } from '../dns/resolver.js'
import { type MtaStsOptions, resolveOptions, type Settings } from '../options.js'
import { escapeRemoteText, textOfThrown } from '../text.js'
import { wholeNumber } from './arguments.js'
import { type CliContext, type SenderTimeouts, UsageError } from './context.js'
import { namingServers } from './name-servers.js'

export interface NetworkArguments {
  resolver?: string | undefined
  ca?: string | undefined
  timeout?: string | undefined
}

/** Timeouts of a connection to an MX host, in milliseconds. */
export interface SmtpTimeouts {
  /** For TCP, and again for STARTTLS with its handshake */
  connectionTimeout: number
  greetingTimeout: number | undefined
  commandTimeout: number | undefined
}

export interface CliNetwork {
  settings: Settings
  /** The settings as options, for a core of one's own */
  options: MtaStsOptions
  smtp: SmtpTimeouts
  /**
   * `--timeout` is shorter than a sender's own timeouts: what takes longer says nothing about what
   * a sender would do
   */
  shortened: boolean
}

/** A sender's own timeouts: the defaults of `MtaSts` and of its transport. */
const SENDER = { dns: 5000, fetch: 30_000, connection: 30_000 } as const
const DNS_PORT = 53
const TIMEOUT_BOUNDS = { min: 1, max: 600_000 }

/** @throws UsageError */
export async function openNetwork(
  { resolver, ca, timeout: text }: NetworkArguments,
  context: CliContext,
): Promise<CliNetwork> {
  const timeout = text === undefined ? undefined : wholeNumber('--timeout', text, TIMEOUT_BOUNDS)
  const { dns: dnsTimeout, fetch: fetchTimeout, ...smtp } = timeoutsOf(timeout, context.timeouts)
  const options = {
    resolver: await resolverFor(resolver, { timeout: dnsTimeout, context }),
    ca: ca === undefined ? undefined : await rootsIn(ca),
    dnsTimeout,
    fetchTimeout,
    connect: context.connect,
    now: context.now,
  }
  const shortened = timeout !== undefined && timeout < SENDER.connection
  try {
    return { settings: resolveOptions(options), options, smtp, shortened }
  } catch (cause) {
    if (ca === undefined || !(cause instanceof TypeError)) throw cause
    throw new UsageError(`--ca ${escapeRemoteText(ca)}: ${cause.message}.`, { cause })
  }
}

/** A timeout longer than a sender's own would show what no sender waits for. */
function timeoutsOf(timeout: number | undefined, own: SenderTimeouts = {}) {
  const limit = (sender: number) => Math.min(timeout ?? sender, sender)
  return {
    dns: limit(own.dns ?? SENDER.dns),
    fetch: limit(own.fetch ?? SENDER.fetch),
    connectionTimeout: limit(own.connection ?? SENDER.connection),
    // The SMTP client has defaults of its own (RFC 5321 §4.5.3.2)
    greetingTimeout: timeout ?? own.reply,
    commandTimeout: timeout ?? own.reply,
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

async function resolverFor(
  text: string | undefined,
  { timeout, context }: { timeout: number; context: CliContext },
): Promise<Resolver> {
  if (text === undefined && context.resolver !== undefined) return context.resolver
  if (text === undefined) return namingServers(defaultResolver(timeout), timeout)
  const { host, port } = nameServer(text)
  const address = isIP(host) ? host : await addressOf(host)
  const resolver = new dns.Resolver({ timeout: Math.ceil(timeout / 2), tries: 2 })
  resolver.setServers([isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`])
  return namingServers(resolver, timeout)
}

async function addressOf(host: string): Promise<string> {
  try {
    return (await dns.lookup(host)).address
  } catch (cause) {
    throw new UsageError(`--resolver: there is no host ${escapeRemoteText(host)}.`, { cause })
  }
}
