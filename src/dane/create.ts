/**
 * {@link dane}: DANE for a sender, from its options.
 *
 * @module
 */

import type { MxRecord } from '../dns/shared-lookups.js'
import { publish } from '../events.js'
import { checkKnown, optionError } from '../option-checks.js'
import type { TlsFailure } from '../tls/failures.js'
import type { Dane, DaneDemand, DaneHost, DaneLogger } from './dane.js'
import { dnssecResolver } from './dnssec-resolver.js'
import type { DnssecResolver, SecureAnswer } from './secure-answer.js'
import { sharedQueries } from './shared-queries.js'
import { lookupHost } from './tlsa-lookup.js'
import { type DaneVerdict, verifyPeer } from './verify.js'

/** Options of {@link dane}. Domains are given as A-labels in lower case, without a root dot. */
export interface DaneOptions {
  /** Default: `dnssecResolver()`, the validating resolver of this machine */
  resolver?: DnssecResolver | undefined
  /**
   * Domains whose MX hosts must prove DANE: nothing is delivered without usable TLSA records. A
   * function that throws counts as true
   */
  require?: ((domain: string) => boolean) | undefined
  /** Domains that are exempt from DANE only; `require` takes precedence */
  except?: ((domain: string) => boolean) | undefined
}

/**
 * Enables DANE for SMTP (RFC 7672): the option `dane` of `MtaSts` and of the transports. Its
 * resolver answers every DNS question of that sender.
 *
 * @throws TypeError that names the option
 * @example
 * const transporter = nodemailer.createTransport(mtaStsTransport({ name, dane: dane() }))
 */
export function dane(options: DaneOptions = {}): Dane {
  checkKnown(options, ['resolver', 'require', 'except'], { call: 'dane()' })
  const resolver = checkedResolver(options.resolver) ?? dnssecResolver()
  const isRequired = predicate(options, 'require')
  const isExcepted = predicate(options, 'except')
  const ask = sharedQueries(resolver)
  const required = (domain: string) => calls(isRequired, domain, true)
  const excepted = (domain: string) => !required(domain) && calls(isExcepted, domain, false)
  let probed: Promise<boolean> | undefined
  return {
    resolver,
    required,
    excepted,
    mx: (domain, dnsTimeout) => ask(domain, 'MX', dnsTimeout),
    async host(mxHost, host) {
      if (excepted(host.domain)) return lookupHost(mxHost, { ...host, mx: INSECURE }, ask)
      const found = await lookupHost(mxHost, host, ask)
      return required(host.domain) ? requiring(found, mxHost) : found
    },
    judge: (socket, { tlsa, names }, now) => failureOf(verifyPeer(socket, tlsa, names, now)),
    probe(logger) {
      probed ??= probe(resolver, logger).then((outcome) => {
        if (outcome === undefined) probed = undefined
        return outcome ?? false
      })
      return probed
    },
  }
}

/** An MX answer for which no TLSA records are looked up. */
const INSECURE: SecureAnswer<MxRecord> = {
  kind: 'absent',
  nxdomain: false,
  secure: false,
  name: '',
}

/** Calls the operator's function; returns the safe answer if it throws. */
function calls(
  decide: ((domain: string) => boolean) | undefined,
  domain: string,
  onError: boolean,
): boolean {
  try {
    return decide === undefined ? false : Boolean(decide(domain))
  } catch {
    return onError
  }
}

/** Turns a host without a demand by DANE into a failure, for `require`. */
function requiring(found: DaneHost, mxHost: string): DaneHost {
  const { demand } = found
  if (found.addresses.problem || demand.kind === 'dane' || demand.kind === 'skip') return found
  const reason = demand.kind === 'none' ? 'dane-not-available' : 'tlsa-unusable'
  const skipped: DaneDemand = {
    kind: 'skip',
    failure: { resultType: 'dane-required', reason, mxHost },
  }
  return { ...found, demand: skipped }
}

/** Returns the failure of a verdict, in the result types of RFC 8460 §4.3. */
function failureOf(verdict: DaneVerdict): TlsFailure | undefined {
  if (verdict.outcome === 'match') return undefined
  if (verdict.outcome === 'unusable') return { resultType: 'tlsa-invalid', reason: 'tlsa-unusable' }
  const { resultType, reason } = verdict
  return reason === undefined ? { resultType } : { resultType, reason }
}

/** Warns if no answer is ever secure; undefined: the resolver did not answer. */
async function probe(
  resolver: DnssecResolver,
  logger: DaneLogger | undefined,
): Promise<boolean | undefined> {
  const asked = (async () => resolver.validates())()
  const validates = await asked.catch(() => undefined)
  if (validates !== false) return validates
  publish('mta-sts:dane', () => ({ problem: 'resolver-does-not-validate' }))
  try {
    logger?.warn(
      { tnx: 'mta-sts', problem: 'resolver-does-not-validate' },
      'DANE is off: the DNS resolver gives no AD bit that can be trusted. Run a validating resolver on this machine, or name one in dnssecResolver({ servers, trustAd })',
    )
  } catch {
    // A logger that fails must not end a delivery
  }
  return false
}

const RESOLVER_METHODS = ['query', 'validates', 'resolveTxt', 'resolveMx', 'resolve4', 'resolve6']

function checkedResolver(resolver: unknown): DnssecResolver | undefined {
  if (resolver === undefined) return undefined
  if (isResolver(resolver)) return resolver
  const must = `must be a dnssecResolver(), or an object with the methods ${RESOLVER_METHODS.join(', ')}`
  throw optionError('resolver', must, resolver)
}

function isResolver(value: unknown): value is DnssecResolver {
  if (typeof value !== 'object' || value === null) return false
  return RESOLVER_METHODS.every((method) => typeof Reflect.get(value, method) === 'function')
}

function predicate(
  options: DaneOptions,
  field: 'require' | 'except',
): ((domain: string) => boolean) | undefined {
  const value = options[field]
  if (value === undefined || typeof value === 'function') return value
  throw optionError(field, 'must be a function of a domain', value)
}
