/**
 * The options of `mtaStsTransport`: their names, defaults and checks.
 *
 * @module
 */
import { isIP } from 'node:net'
import { MAX_TIMER, namesOf, number, optionalNumber, optionError } from '../option-checks.js'
import type { OpenOptions } from '../smtp/connection.js'
import { checkEhloName } from '../smtp/hello.js'
import type { StsOptions } from './core.js'
import type { PoolLimits } from './session-pool.js'
import type { TransactionLogOptions } from './transaction-log.js'

/** Options of `mtaStsTransport`: those of `MtaSts` and those of SMTP sessions. Durations are in milliseconds. */
export interface MtaStsTransportOptions extends StsOptions, TransactionLogOptions {
  /** The host name sent in EHLO; default: the machine's */
  name?: string | undefined
  /** The address that SMTP connections are made from */
  localAddress?: string | undefined
  /** For the TCP connection to one address, and again for STARTTLS with its handshake; default 30000 */
  connectionTimeout?: number | undefined
  /** Open connections in all; default 50 */
  maxConnections?: number | undefined
  /** Open connections to one MX host; default 5 */
  maxConnectionsPerHost?: number | undefined
  /** Messages sent over one connection before it is closed; default 100 */
  maxMessages?: number | undefined
  /** The time for which a connection is kept without a message; default 60000 */
  idleTimeout?: number | undefined
  /** For the greeting; default 300000 (RFC 5321 §4.5.3.2.1) */
  greetingTimeout?: number | undefined
  /** For any other reply; default: RFC 5321 §4.5.3.2's for each command */
  socketTimeout?: number | undefined
}

export const OWN_NAMES = namesOf<
  Exclude<keyof MtaStsTransportOptions, keyof StsOptions> | 'logger'
>({
  name: true,
  localAddress: true,
  connectionTimeout: true,
  maxConnections: true,
  maxConnectionsPerHost: true,
  maxMessages: true,
  idleTimeout: true,
  greetingTimeout: true,
  socketTimeout: true,
  debug: true,
  transactionLog: true,
  logger: true,
})

const SMART_HOST =
  'this transport connects to the MX hosts itself; for a smart host use withMtaSts()'
const DECIDED = 'the policy decides what TLS must prove; use "minimumSecurity" to demand more'
const MESSAGE = 'it belongs to messages: use the second argument of createTransport()'

/** Options of Nodemailer's own transports, which would have no effect here. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  host: SMART_HOST,
  servername: SMART_HOST,
  service: SMART_HOST,
  url: SMART_HOST,
  auth: `MX hosts take no login; ${SMART_HOST}`,
  authMethod: `MX hosts take no login; ${SMART_HOST}`,
  tls: `${DECIDED}; for trusted roots use "ca"`,
  secure: DECIDED,
  requireTLS: DECIDED,
  ignoreTLS: DECIDED,
  opportunisticTLS: DECIDED,
  pool: 'connections are kept without it; use "maxConnections", "maxMessages" and "idleTimeout"',
  rateLimit: 'use "maxConnections" and "maxConnectionsPerHost"',
  rateDelta: 'use "maxConnections" and "maxConnectionsPerHost"',
  proxy: 'use "connect"',
  socket: 'use "connect"',
  connection: 'use "connect"',
  getSocket: 'use "connect"',
  dkim: `${MESSAGE}, or the field "dkim" of a message`,
  from: MESSAGE,
  to: MESSAGE,
  headers: MESSAGE,
  disableFileAccess: MESSAGE,
  disableUrlAccess: MESSAGE,
}

export function poolLimits(options: MtaStsTransportOptions): PoolLimits {
  return {
    maxConnections: number(options, 'maxConnections', { default: 50, min: 1 }),
    maxConnectionsPerHost: number(options, 'maxConnectionsPerHost', { default: 5, min: 1 }),
    maxMessages: number(options, 'maxMessages', { default: 100, min: 1 }),
    idleTimeout: number(options, 'idleTimeout', { default: 60_000, min: 1, max: MAX_TIMER }),
  }
}

export function openOptions(options: MtaStsTransportOptions): OpenOptions {
  const timer = { min: 1, max: MAX_TIMER }
  return {
    name: checkEhloName(options.name),
    localAddress: localAddressOf(options),
    connectionTimeout: number(options, 'connectionTimeout', { default: 30_000, ...timer }),
    greetingTimeout: number(options, 'greetingTimeout', { default: 300_000, ...timer }),
    commandTimeout: optionalNumber(options, 'socketTimeout', timer),
  }
}

function localAddressOf(options: MtaStsTransportOptions): string | undefined {
  const value: unknown = options.localAddress
  if (value === undefined || (typeof value === 'string' && isIP(value))) return value
  throw optionError('localAddress', 'must be an IPv4 or IPv6 address', value)
}

/** The options that are the core's, and not the transport's. */
export function stsOptions(options: MtaStsTransportOptions): StsOptions {
  const { name, localAddress, connectionTimeout, maxConnections, ...rest } = options
  const { maxConnectionsPerHost, maxMessages, idleTimeout, ...more } = rest
  const { greetingTimeout, socketTimeout, debug, transactionLog, ...sts } = more
  return sts
}
