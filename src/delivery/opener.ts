/**
 * Opens the connections of one delivery within one time limit, and never twice to an address that
 * did not answer.
 *
 * @module
 */

import { MtaStsError } from '../errors.js'
import type { Connect } from '../net/connect.js'
import { Deadline } from '../net/deadline.js'
import type { BrokenTls } from '../smtp/broken-tls.js'
import type { OpenOptions, SmtpConnection } from '../smtp/connection.js'
import { connectionError } from '../smtp/errors.js'
import { checkOpenOptions } from '../smtp/hello.js'
import { openSmtp } from '../smtp/open.js'
import { type TlsFailure, TlsFailureError } from '../tls/failures.js'
import { includesProofs, type Security } from '../tls/security.js'
import { assess, type DaneJudge, type Judgement } from '../tls/verdict.js'
import type { CandidateChanges } from './attempt.js'
import type { Candidate } from './candidate.js'
import type { DeliveryRecord } from './record.js'

/** Settings that all connections of all deliveries share. */
export interface OpenerOptions {
  connect: Connect
  /** Limit for all connecting of one delivery, in milliseconds */
  deliveryTimeout: number
  /** Addresses whose TLS has failed lately */
  brokenTls: BrokenTls
  /** Judges proofs by DANE; undefined without the option `dane` */
  judgeDane?: DaneJudge | undefined
  opened: WeakMap<SmtpConnection, Opened>
}

/** The record of an open connection. */
export interface Opened {
  /** The proofs that were demanded when it was opened */
  security: Security
  /** The policies under which its session was published */
  policies: Set<string>
}

/** Opens connections for one delivery. */
export class Opener {
  readonly #record: DeliveryRecord
  readonly #connect: Connect
  readonly #opened: OpenerOptions['opened']
  readonly #judgeDane: DaneJudge | undefined
  readonly #brokenTls: BrokenTls
  /** Remaining milliseconds; only connecting counts */
  #left: number
  /** Addresses with ports that gave no session; they are not tried again */
  readonly #unreachable = new Set<string>()

  constructor(record: DeliveryRecord, options: OpenerOptions) {
    const { connect, deliveryTimeout, opened, judgeDane, brokenTls } = options
    this.#brokenTls = brokenTls
    this.#record = record
    this.#connect = connect
    this.#opened = opened
    this.#judgeDane = judgeDane
    this.#left = deliveryTimeout
  }

  /**
   * Connects to a candidate.
   *
   * @throws as `openSmtp` does; MtaStsError `ETIMEDOUT` when the delivery's time is over
   */
  readonly open = async (
    planned: Candidate,
    options: OpenOptions = {},
    { connect = this.#connect, ...changes }: CandidateChanges = {},
  ): Promise<SmtpConnection> => {
    checkOpenOptions(options)
    const candidate = { ...planned, ...changes }
    const { mxHost, port, security } = candidate
    const key = (address: string) => `${address} ${port}`
    const addresses = candidate.addresses.filter((one) => !this.#unreachable.has(key(one)))
    if (addresses.length === 0 && candidate.addresses.length > 0) {
      throw new MtaStsError(`No address of ${mxHost} has answered before`, 'ECONNECTION')
    }
    if (this.#left <= 0) {
      throw new MtaStsError('The time for connecting is over (deliveryTimeout)', 'ETIMEDOUT')
    }
    const deadline = new Deadline(this.#left, 'all connecting of this delivery', options.signal)
    const refused: TlsFailure[] = []
    let judgement: Judgement | undefined
    try {
      const connection = await openSmtp(
        {
          ...candidate,
          addresses,
          judge: (socket) => {
            judgement = assess(socket, mxHost, security, this.#judgeDane)
            return judgement
          },
        },
        {
          ...options,
          connect,
          brokenTls: this.#brokenTls,
          signal: deadline.signal,
          onSession: (report) => {
            this.#record.session(mxHost, report, { security, judgement })
            judgement = undefined
            const { failure } = report
            if (failure && failure !== candidate.failure) refused.push(failure)
          },
          onUnreachable: (address) => this.#unreachable.add(key(address)),
        },
      )
      this.#opened.set(connection, { security, policies: new Set([this.#record.policyKey]) })
      this.#noteOthers(refused, connection.failures[0])
      return connection
    } catch (error) {
      this.#noteOthers(refused, error instanceof TlsFailureError ? error.failure : undefined)
      throw error
    } finally {
      // A timer may fire slightly early
      this.#left = deadline.signal.aborted ? 0 : deadline.left
      deadline.clear()
    }
  }

  /** Records the failures of the addresses before the deciding one. */
  #noteOthers(failures: readonly TlsFailure[], last: TlsFailure | undefined): void {
    for (const failure of failures) if (failure !== last) this.#record.note(failure)
  }

  /**
   * Publishes the session of a reused connection once for each policy.
   *
   * @throws MtaStsError `ECONNECTION` unless it leads to the candidate, and has proved what it must
   */
  readonly reuse = (connection: SmtpConnection, { mxHost, security }: Candidate): void => {
    const { address, socket, failures, tls } = connection
    const { policyKey } = this.#record
    const { policies, security: own } = this.#opened.get(connection) ?? {}
    const isProved =
      security.level === 'authenticated'
        ? connection.proved.length > 0 && includesProofs(own, security.proofs)
        : security.level === 'opportunistic' || tls !== false
    if (connection.mxHost !== mxHost || !isProved) {
      const message = `The connection to ${connection.mxHost} has not proved what this delivery to ${mxHost} demands: open a new one`
      throw connectionError('MAIL FROM', message)
    }
    if (policies?.has(policyKey)) return
    policies?.add(policyKey)
    const [failure] = failures
    const { localAddress } = socket
    const report = {
      address,
      ...(localAddress === undefined ? {} : { localAddress }),
      ...(failure === undefined ? {} : { failure }),
    }
    // A reused connection gave every demanded proof; the failure is of an audited one
    const judgement = failure === undefined ? {} : { failed: { sts: failure } }
    this.#record.session(mxHost, report, { security, judgement })
  }
}
