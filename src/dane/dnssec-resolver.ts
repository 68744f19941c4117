/**
 * A stub for a validating resolver: it requests the AD bit, and returns with each answer whether
 * DNSSEC proves it, which `node:dns` cannot do. The stub itself validates nothing.
 *
 * @module
 */

import { Gate } from '../net/gate.js'
import { checkKnown, MAX_TIMER, number, optionError } from '../option-checks.js'
import { DnsError, type DnsErrorCode } from './dns-error.js'
import { dnsPacket } from './dns-packet.js'
import { exchange } from './exchange.js'
import { expandedName, recordsOf } from './records.js'
import {
  isLoopback,
  MAX_SERVERS,
  type NameServer,
  parseServer,
  type ResolvConf,
  systemResolvConf,
} from './resolv-conf.js'
import type { DnssecResolver, RecordData, SecureAnswer } from './secure-answer.js'
import { recordsOrThrow } from './shared-queries.js'
import { plainName, type Query, RCODE, type Reply } from './wire.js'

/** Options of {@link dnssecResolver}. */
export interface DnssecResolverOptions {
  /**
   * Addresses of name servers, with or without a port: `127.0.0.1`, `[::1]:5353`; the first three
   * are used. Default: those of `/etc/resolv.conf`
   */
  servers?: string[] | undefined
  /**
   * Whether to trust the AD bit of these servers. Default: true on loopback, and with `options
   * trust-ad` in resolv.conf. Set it only if the path to the server is safe
   */
  trustAd?: boolean | undefined
  /** Limit of one try, in milliseconds; default: `timeout:` of resolv.conf, or 2500 */
  timeout?: number | undefined
  /** Rounds through the servers; default: `attempts:` of resolv.conf, or 2 */
  tries?: number | undefined
}

const DEFAULT_TIMEOUT = 2500
const DEFAULT_TRIES = 2
const MAX_TRIES = 10

/** Maximum number of questions at once; each takes a socket */
const MAX_SOCKETS = 256

/**
 * Makes a resolver for {@link dane} that returns with each answer whether DNSSEC proves it.
 *
 * If only some of the servers are trusted, the others are not asked: an attacker who blocks the
 * trusted ones must not be able to choose an answer without DNSSEC.
 *
 * @throws TypeError that names the option
 * @example
 * const resolver = dnssecResolver({ servers: ['127.0.0.1'] })
 * const answer = await resolver.query('example.com', 'MX')
 * if (answer.kind === 'found' && answer.secure) console.log(answer.records)
 */
export function dnssecResolver(options: DnssecResolverOptions = {}): DnssecResolver {
  checkKnown(options, ['servers', 'trustAd', 'timeout', 'tries'], { call: 'dnssecResolver()' })
  // Now, and not with the first message
  dnsPacket()
  const conf = options.servers === undefined ? systemResolvConf() : confOf(options.servers)
  const bounds = { min: 1, max: MAX_TIMER, default: conf.timeout ?? DEFAULT_TIMEOUT }
  const rounds = { min: 1, max: MAX_TRIES, default: conf.attempts ?? DEFAULT_TRIES }
  return new Stub({
    servers: preferTrusted(conf, options.trustAd),
    timeout: number(options, 'timeout', bounds),
    tries: number(options, 'tries', rounds),
  })
}

function confOf(servers: unknown): ResolvConf {
  if (!Array.isArray(servers) || servers.length === 0) {
    throw optionError('servers', 'must be an array of at least one address', servers)
  }
  const parsed = servers.map(parseServer).slice(0, MAX_SERVERS)
  return { servers: parsed, trustAd: false, timeout: undefined, attempts: undefined }
}

/** A name server, and whether its AD bit counts. */
interface Upstream extends NameServer {
  trusted: boolean
}

function preferTrusted(conf: ResolvConf, option: boolean | undefined): Upstream[] {
  if (option !== undefined && typeof option !== 'boolean') {
    throw optionError('trustAd', 'must be true or false', option)
  }
  const all = conf.servers.map((server) => ({
    ...server,
    trusted: option ?? (conf.trustAd || isLoopback(server)),
  }))
  const trusted = all.filter((server) => server.trusted)
  return trusted.length > 0 ? trusted : all
}

interface StubSettings {
  servers: readonly Upstream[]
  timeout: number
  tries: number
}

class Stub implements DnssecResolver {
  readonly #settings: StubSettings
  readonly #gate = new Gate(MAX_SOCKETS)
  /** Index of the first server to ask, which skips servers that did not answer last time */
  #first = 0
  #validates: Promise<boolean | undefined> | undefined

  constructor(settings: StubSettings) {
    this.#settings = settings
  }

  async query<T extends keyof RecordData>(
    name: string,
    type: T,
  ): Promise<SecureAnswer<RecordData[T]>> {
    const query = { name: plainName(name), type }
    const outcome = await this.#gate.run(() => this.#ask(query))
    if ('error' in outcome) return { kind: 'failed', ...outcome }
    const { reply, secure } = outcome
    const end = expandedName(query, reply.answers)
    if (end === undefined) {
      const error = new DnsError('EBADRESP', query, { note: 'a CNAME chain without an end' })
      return { kind: 'failed', error, bogus: false }
    }
    const records = recordsOf({ name: end, type }, reply.answers)
    if (records.length > 0) return { kind: 'found', records, secure, name: end }
    return { kind: 'absent', nxdomain: reply.rcode === RCODE.nameError, secure, name: end }
  }

  async validates(): Promise<boolean | undefined> {
    this.#validates ??= this.#probe()
    const validates = await this.#validates
    if (validates === undefined) this.#validates = undefined
    return validates
  }

  async resolveTxt(hostname: string): Promise<string[][]> {
    return this.#records(hostname, 'TXT')
  }

  async resolveMx(hostname: string): Promise<Array<{ exchange: string; priority: number }>> {
    return this.#records(hostname, 'MX')
  }

  async resolve4(hostname: string): Promise<string[]> {
    return this.#records(hostname, 'A')
  }

  async resolve6(hostname: string): Promise<string[]> {
    return this.#records(hostname, 'AAAA')
  }

  /** Rejects without records, as `node:dns` does. */
  async #records<T extends keyof RecordData>(name: string, type: T): Promise<Array<RecordData[T]>> {
    return recordsOrThrow(await this.query(name, type), { name: plainName(name), type })
  }

  /**
   * Asks for the NS records of the root, which is signed: without AD on them nothing is ever
   * secure.
   */
  async #probe(): Promise<boolean | undefined> {
    const outcome = await this.#gate.run(() => this.#ask({ name: '', type: 'NS' }))
    return 'error' in outcome ? undefined : outcome.secure
  }

  /** Asks the servers in turn, in several rounds, until one answers. */
  async #ask(query: Query): Promise<Outcome> {
    const { servers, timeout, tries } = this.#settings
    const refusing = new Set<Upstream>()
    const first = this.#first
    let failure: Failure | undefined
    for (let turn = 0; turn < tries * servers.length; turn++) {
      const index = (first + turn) % servers.length
      const server = servers[index]
      if (server === undefined || refusing.has(server)) continue
      try {
        const reply = await exchange(server, query, timeout)
        if (isAnswer(reply)) return { reply, secure: reply.authentic && server.trusted }
        refusing.add(server)
        failure = { error: refusal(reply, query), bogus: isBogus(reply) || failure?.bogus === true }
      } catch (error) {
        if (!(error instanceof DnsError)) throw error
        failure = { error: failure?.error ?? error, bogus: failure?.bogus ?? false }
        if (error.code === 'EBADNAME') break
        if (index === this.#first) this.#first = (index + 1) % servers.length
      }
    }
    return failure ?? { error: new DnsError('ETIMEOUT', query), bogus: false }
  }
}

interface Failure {
  error: DnsError
  bogus: boolean
}

type Outcome = { reply: Reply; secure: boolean } | Failure

function isAnswer({ rcode }: Reply): boolean {
  return rcode === RCODE.noError || rcode === RCODE.nameError
}

const REFUSALS: ReadonlyMap<number, DnsErrorCode> = new Map([
  [1, 'EFORMERR'],
  [2, 'ESERVFAIL'],
  [4, 'ENOTIMP'],
  [5, 'EREFUSED'],
])

function refusal({ rcode, errors }: Reply, query: Query): DnsError {
  const note = errors.length > 0 ? `extended error ${errors.join(', ')}` : undefined
  return new DnsError(REFUSALS.get(rcode) ?? 'ESERVFAIL', query, note === undefined ? {} : { note })
}

/** RFC 8914 §4.7 to §4.13: DNSSEC Bogus, Signature Expired, ... NSEC Missing */
function isBogus({ errors }: Reply): boolean {
  return errors.some((code) => code >= 6 && code <= 12)
}
