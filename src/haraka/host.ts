/**
 * The used parts of Haraka, and the check that they exist. No public hook lies between the choice
 * of an MX host and MAIL FROM, so two of these parts are internal; if they differ from what is
 * expected, Haraka does not start.
 *
 * @module
 */
import type { EventEmitter } from 'node:events'
import { MtaStsError } from '../errors.js'

/** A `HarakaMx`: a host to connect to. */
export interface HarakaMx {
  exchange: string
  /** The name in the MX record, if `exchange` is an address */
  from_dns?: string
  priority?: number
  port?: number
  bind?: string
  /** The name for EHLO */
  bind_helo?: string
}

/** A status for bounces and delay notices (RFC 3463), in Haraka's form. */
export interface HarakaDsn {
  code: number
  msg: string
  cls: number
  sub: number
  det: number
}

/** A message in Haraka's outbound queue, for one domain. */
export interface HMail {
  todo: {
    domain: string
    /** Identifies the message in Haraka's log */
    uuid?: string
    rcpt_to: object[]
    notes: { outbound_ip?: string; outbound_helo?: string }
  }
  /** Notes for hooks, lost when the process ends */
  notes: object
  mxlist: HarakaMx[]
  force_tls: boolean
  try_deliver(): unknown
  delivered(...facts: unknown[]): unknown
  temp_fail(why: string, extra?: unknown): unknown
  bounce(why: string, extra?: unknown): unknown
  discard(): unknown
  extend_rcpt_with_dsn(recipient: object, dsn: HarakaDsn): void
}

/** The socket of an outbound connection: Haraka's own, or a replacement. */
export interface OutboundSocket extends EventEmitter {
  write(data: string | Uint8Array, ...rest: unknown[]): boolean
}

export type GetClient = (
  mx: HarakaMx,
  callback: (error: string | null, socket: OutboundSocket | null) => void,
) => void

export interface ClientPool {
  get_client: GetClient
}

/** The value of `this` in a plugin. */
export interface HarakaPlugin {
  name: string
  config: { get(name: string, options?: object): Record<string, Record<string, unknown>> }
  haraka_require(name: string): unknown
  register_hook(hook: string, method: string, priority?: number): void
  logdebug(text: string): void
  loginfo(text: string, about?: object): void
  lognotice(text: string, about?: object): void
  logwarn(text: string): void
  logerror(text: string): void
  [method: string]: unknown
}

/** The used parts of Haraka's modules. */
export interface HarakaHost {
  pool: ClientPool
  makeMx(mx: HarakaMx): HarakaMx
  /** Whether the operator wants no TLS with this host or domain (tls.ini, `no_tls_hosts`) */
  isWithoutTls(name: string): boolean
  /** outbound.ini */
  outbound(): { local_mx_ok?: unknown; enable_tls?: unknown; connect_timeout?: unknown }
}

const OLDEST = [3, 0, 4] as const
const ADVICE =
  'Install a version of mta-sts that knows this Haraka, or take the line mta-sts out of config/plugins to run without protection'

/** A module, a member of it, and a text that the member's code must contain. */
const EXPECTED: ReadonlyArray<readonly [module: string, path: string, text: string]> = [
  ['outbound/client_pool', 'get_client', 'callback(null, socket)'],
  ['outbound/client_pool', 'release_client', 'socket.destroy()'],
  ['outbound/hmail', 'prototype.get_mx_respond', 'this.found_mx('],
  ['outbound/hmail', 'prototype.found_mx', 'this.try_deliver()'],
  ['outbound/hmail', 'prototype.try_deliver', 'this.mxlist.shift()'],
  ['outbound/hmail', 'prototype.try_deliver', 'this.force_tls = this.get_force_tls('],
  ['outbound/hmail', 'prototype.try_deliver', 'client_pool.get_client(mx'],
  ['outbound/hmail', 'prototype.try_deliver_host_on_socket', 'self.try_deliver()'],
  ['outbound/hmail', 'prototype.try_deliver_host_on_socket', "socket.once('secure'"],
  ['outbound/hmail', 'prototype.try_deliver_host_on_socket', 'socket.upgrade('],
  ['outbound/hmail', 'prototype.try_deliver_host_on_socket', 'self.delivered('],
  ['outbound/hmail', 'prototype.delivered', "'delivered'"],
  ['outbound/hmail', 'prototype.temp_fail', "'deferred'"],
  ['outbound/hmail', 'prototype.bounce', ''],
  ['outbound/hmail', 'prototype.discard', ''],
  ['outbound/hmail', 'prototype.extend_rcpt_with_dsn', 'dsn.det'],
  ['outbound', 'net_utils.HarakaMx', ''],
  ['outbound', 'net_utils.ip_in_list', ''],
  ['outbound/tls', 'get_tls_options', ''],
]

/** @throws MtaStsError that names the difference and the remedy */
export function knownHost(plugin: Pick<HarakaPlugin, 'haraka_require'>): HarakaHost {
  const version = String(memberOf(load(plugin, 'package.json'), 'version'))
  checkVersion(version)
  for (const [module, path, text] of EXPECTED) {
    const found = memberOf(load(plugin, module), path)
    if (typeof found === 'function' && codeOf(found).includes(text)) continue
    throw unknown(version, `${module}: ${path} differs from the known versions`)
  }
  const pool = load(plugin, 'outbound/client_pool') as ClientPool
  const { HarakaMx, ip_in_list } = memberOf(load(plugin, 'outbound'), 'net_utils') as {
    HarakaMx: new (mx: HarakaMx) => HarakaMx
    ip_in_list(list: unknown, name: string): boolean
  }
  return {
    pool,
    makeMx: (mx) => new HarakaMx(mx),
    isWithoutTls(name) {
      const list = memberOf(load(plugin, 'outbound/tls'), 'cfg.no_tls_hosts')
      return Boolean(list) && ip_in_list(list, name)
    },
    outbound: () => Object(memberOf(load(plugin, 'outbound/config'), 'cfg')),
  }
}

/** Returns the code of a member. Older versions have double quotes. */
function codeOf(member: object): string {
  return String(member).replaceAll('"', "'")
}

function checkVersion(version: string): void {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  const [oldMajor, oldMinor, oldPatch] = OLDEST
  const isNewEnough = minor > oldMinor || (minor === oldMinor && patch >= oldPatch)
  if (major === oldMajor && isNewEnough) return
  throw unknown(version, `the known versions are from ${OLDEST.join('.')} up to 4`)
}

function load(plugin: Pick<HarakaPlugin, 'haraka_require'>, module: string): unknown {
  try {
    return plugin.haraka_require(module)
  } catch {
    return undefined
  }
}

function memberOf(value: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>(
      (found, name) => (found == null ? undefined : Reflect.get(Object(found), name)),
      value,
    )
}

function unknown(version: string, what: string): MtaStsError {
  return new MtaStsError(`mta-sts does not know Haraka ${version}: ${what}. ${ADVICE}`, 'EHOST')
}
