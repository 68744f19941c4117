/**
 * Sessions with MX hosts, opened by the library's own SMTP client, as a sender opens them. Nothing
 * is said but EHLO, STARTTLS, EHLO and QUIT.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto'
import type { PeerCertificate, TLSSocket } from 'node:tls'
import type { Dane, DaneDemand } from '../../dane/dane.js'
import type { Candidate } from '../../delivery/candidate.js'
import type { Gate } from '../../net/gate.js'
import type { Settings } from '../../options.js'
import { openSmtp } from '../../smtp/open.js'
import { type TlsFailure, TlsFailureError } from '../../tls/failures.js'
import { checkServerIdentity } from '../../tls/identity.js'
import { tlsOptions } from '../../tls/options.js'
import type { Security } from '../../tls/security.js'
import { type Judgement, judge } from '../../tls/verdict.js'
import type { SmtpTimeouts } from '../network.js'
import { certificateFacts } from './certificate.js'
import type { MxSession } from './findings.js'
import { causeOf, isNoRoute, isTimeout, problemOf } from './problem.js'

export interface SessionOptions {
  settings: Settings
  smtp: SmtpTimeouts
  /** The name in EHLO */
  name: string
  /** The timeouts are shorter than a sender's own */
  shortened: boolean
}

/** An MX host to connect to. */
export interface Tried {
  candidate: Candidate
  /** DANE, and what it demands of the host; undefined without `--dane` */
  dane?: { dane: Dane; demand: DaneDemand } | undefined
}

/** A session, and the certificate that it showed. */
interface Seen {
  session: MxSession
  /** DANE made it prove something, which says nothing about a host that DANE demands nothing of */
  isByDane: boolean
  certificate: PeerCertificate | undefined
}

/** Handshakes are not ended by a certificate that proves nothing: its facts are shown. */
const AUDITED: Security = { level: 'opportunistic', audit: { by: 'sts' } }
const AUTHENTICATED: Security = { level: 'authenticated', proofs: [{ by: 'sts' }] }

/** Connections at a time, policy hosts included. */
export const MAX_SOCKETS = 64

/**
 * The sessions of one run. An address is dialled once, however many domains and MX hosts lead to
 * it: again only for a name to which the host may show another certificate (SNI).
 */
export class Sessions {
  readonly #options: SessionOptions
  readonly #slots: Gate
  /** The sessions with each address, one after the other; by the host and what DANE demands of it */
  readonly #seen = new Map<string, Promise<ReadonlyMap<string, Seen>>>()

  constructor(options: SessionOptions, slots: Gate) {
    this.#options = options
    this.#slots = slots
  }

  /** Never rejects, unless the signal is aborted. */
  async with(tried: Tried, address: string, signal?: AbortSignal): Promise<MxSession> {
    const { mxHost } = tried.candidate
    // A domain that is not signed demands less of the same host
    const key = demands(tried) ? `${mxHost} ${JSON.stringify(tried.dane?.demand)}` : mxHost
    const before = this.#seen.get(address) ?? Promise.resolve(new Map<string, Seen>())
    const after = before.then(async (known) => {
      const shared =
        known.get(key) ??
        // Each name has TLSA records of its own
        (demands(tried) ? undefined : [...known.values()].find((seen) => isSame(seen, mxHost)))
      if (shared !== undefined) return new Map(known).set(key, shared)
      const seen = await this.#slots.run(() => this.#open(tried, address, signal))
      return new Map(known).set(key, seen)
    })
    // A session that one domain's deadline cut short says nothing about the next domain
    this.#seen.set(
      address,
      after.catch(() => before),
    )
    const seen = (await after).get(key)
    if (seen === undefined) throw new Error('a session has just been looked up')
    return seen.session
  }

  async #open(tried: Tried, address: string, signal: AbortSignal | undefined): Promise<Seen> {
    signal?.throwIfAborted()
    const { candidate } = tried
    const { settings, smtp, name } = this.#options
    const begun = performance.now()
    const witness = new Witness(tried, settings.now)
    const target = {
      ...candidate,
      addresses: [address],
      security: AUTHENTICATED,
      tls: tlsOptions(candidate.mxHost, handshakeFor(tried), settings.roots),
      judge: (socket: TLSSocket) => witness.judge(socket),
      verify: (socket: TLSSocket) => witness.judge(socket).refusal,
    }
    const { connect } = settings
    const options = { ...smtp, name, connect, signal, onSession: () => undefined }
    try {
      const connection = await openSmtp(target, options)
      const milliseconds = Math.round(performance.now() - begun)
      await connection.quit()
      return this.#seenOf({ address, milliseconds, witness, failure: undefined })
    } catch (error) {
      signal?.throwIfAborted()
      const milliseconds = Math.round(performance.now() - begun)
      return this.#failed({ address, milliseconds, witness, error })
    }
  }

  #failed(ended: Ended & { error: unknown }): Seen {
    const { error, ...rest } = ended
    const failure = error instanceof TlsFailureError ? error.failure : undefined
    const timedOut = isTimeout(failure === undefined ? error : failure.cause)
    // A timeout shorter than a sender's says nothing about what a sender meets
    const unknown = failure === undefined || (timedOut && this.#options.shortened)
    if (!unknown) return this.#seenOf({ ...rest, failure })
    const seen = this.#seenOf({ ...rest, failure: undefined })
    const cause = failure?.cause ?? error
    const text = timedOut ? 'no answer in time' : (causeOf(cause) ?? 'unknown error')
    return { ...seen, session: { ...seen.session, error: text, noRoute: isNoRoute(cause) } }
  }

  #seenOf({
    address,
    milliseconds,
    witness,
    failure,
  }: Ended & { failure: TlsFailure | undefined }) {
    const { version, cipher, certificate, tlsaMatches } = witness
    const facts = factsOf(certificate)
    const circumstances = { certificate: facts, now: this.#options.settings.now() }
    const problem = failure === undefined ? null : problemOf(failure, circumstances)
    const byDane = witness.failureByDane(failure)
    const session: MxSession = {
      address,
      tlsVersion: version,
      cipher,
      certificate: facts,
      problem,
      tlsaMatches,
      daneProblem: byDane === undefined ? null : problemOf(byDane, circumstances),
      error: null,
      noRoute: false,
      milliseconds,
    }
    return { session, certificate, isByDane: witness.isByDane }
  }
}

interface Ended {
  address: string
  milliseconds: number
  witness: Witness
}

/** Tells whether DANE makes a connection to the host prove something. */
function demands({ dane }: Tried): boolean {
  return dane?.demand.kind === 'dane' || dane?.demand.kind === 'tls-required'
}

/** DANE decides which name the host is asked for by SNI (RFC 7672 §8.1). */
function handshakeFor({ dane }: Tried): Security {
  if (dane?.demand.kind !== 'dane') return AUDITED
  return { level: 'authenticated', proofs: [dane.demand.proof] }
}

/** Judges a handshake as a sender does, and records the facts that it showed. */
class Witness {
  version: string | null = null
  cipher: string | null = null
  certificate: PeerCertificate | undefined
  tlsaMatches: boolean | null = null
  readonly #tried: Tried
  readonly #now: () => number
  #refused = false
  #refusedByDane: TlsFailure | undefined

  constructor(tried: Tried, now: () => number) {
    this.#tried = tried
    this.#now = now
  }

  judge(socket: TLSSocket): Judgement {
    const { candidate, dane } = this.#tried
    // The verdict first: Node lets some facts of the certificate be read only once
    const sts = judge(socket, candidate.mxHost, AUDITED)
    this.version = socket.getProtocol()
    this.cipher = socket.getCipher()?.name ?? null
    this.certificate = socket.getPeerCertificate()
    if (dane?.demand.kind === 'dane') {
      this.#refusedByDane = dane.dane.judge(socket, dane.demand.proof, this.#now())
      this.tlsaMatches = this.#refusedByDane === undefined
    }
    // Both must hold where both apply
    const refusal = sts ?? this.#refusedByDane
    this.#refused = refusal !== undefined
    return refusal === undefined ? {} : { refusal }
  }

  get isByDane(): boolean {
    return demands(this.#tried)
  }

  /**
   * Returns what a session that ended with this failure does not prove of what DANE demands.
   *
   * @param failure of MTA-STS and DANE together; undefined: the session came to its end
   */
  failureByDane(failure: TlsFailure | undefined): TlsFailure | undefined {
    if (this.#refused || !this.isByDane) return this.#refusedByDane
    return failure
  }
}

function factsOf(certificate: PeerCertificate | undefined) {
  const raw = certificate?.raw
  return raw === undefined ? null : certificateFacts(new X509Certificate(raw))
}

/** Failures that do not depend on the name that the host is asked for. */
const NAMELESS: ReadonlySet<string | null> = new Set(['handshake-timeout', 'tls-version'])

/** Tells whether a session under another name would show the same. */
function isSame({ session, certificate, isByDane }: Seen, mxHost: string): boolean {
  if (isByDane) return false
  const { problem, error } = session
  if (error !== null) return true
  if (problem !== null) {
    return problem.resultType === 'starttls-not-supported' || NAMELESS.has(problem.reason)
  }
  return certificate !== undefined && checkServerIdentity(mxHost, certificate) === undefined
}
