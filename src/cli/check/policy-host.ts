/**
 * The policy host, address by address, asked by the library's own GET.
 *
 * @module
 */
import { lookupAddresses } from '../../dns/addresses.js'
import { exchangeAt, type HttpsExchange } from '../../https/exchange.js'
import type { Gate } from '../../net/gate.js'
import type { Settings } from '../../options.js'
import { fetchPolicy, type PolicyFetch, policyOf, policyRequest } from '../../policy/fetch.js'
import { policyHost } from '../../policy/names.js'
import { certificateFacts } from './certificate.js'
import type { PolicyAddressCheck, PolicyHostCheck } from './findings.js'
import { isNoRoute, isTimeout, problemOf } from './problem.js'

/** A policy host, and the policy that a sender gets from it. */
export interface PolicyHostInspection {
  check: PolicyHostCheck
  /** The policy of the first address that gives one, or else a failure */
  fetch: PolicyFetch
  /** The policy file, valid or not */
  body: string | undefined
}

export interface InspectOptions {
  settings: Settings
  slots: Gate
  signal: AbortSignal | undefined
}

export async function inspectPolicyHost(
  policyDomain: string,
  options: InspectOptions,
): Promise<PolicyHostInspection> {
  const { settings } = options
  const host = policyHost(policyDomain)
  const { addresses, blocked } = await lookupAddresses(host, settings)
  const inspected = await Promise.all(
    addresses.map((address) => inspectAddress(policyDomain, address, options)),
  )
  const checks = inspected.map(({ check }) => check)
  const chosen =
    inspected.find(({ fetch }) => fetch.kind === 'fetched') ??
    inspected.find(({ body }) => body !== undefined) ??
    inspected.find(({ check }) => !check.noRoute) ??
    inspected[0]
  if (chosen !== undefined) {
    const { fetch, body } = chosen
    return { check: { host, addresses: checks, blocked, problem: null }, fetch, body }
  }
  // No address: the library says what that amounts to, in the words in which it would be reported
  const fetch = await fetchPolicy(policyDomain, settings)
  const circumstances = { certificate: null, now: settings.now() }
  const problem = fetch.kind === 'failed' ? problemOf(fetch.failure, circumstances) : null
  return { check: { host, addresses: checks, blocked, problem }, fetch, body: undefined }
}

interface AddressInspection {
  check: PolicyAddressCheck
  fetch: PolicyFetch
  body: string | undefined
}

async function inspectAddress(
  policyDomain: string,
  address: string,
  { settings, slots, signal }: InspectOptions,
): Promise<AddressInspection> {
  const timeout = settings.fetchTimeout
  const exchange = await slots.run(() =>
    exchangeAt(address, policyRequest(policyDomain), {
      ...settings,
      timeout,
      signal,
      inspect: true,
    }),
  )
  signal?.throwIfAborted()
  const fetch = policyOf(exchange)
  const failure = fetch.kind === 'failed' ? fetch.failure : undefined
  const facts = factsOf(exchange)
  const circumstances = { certificate: facts.certificate, now: settings.now() }
  return {
    check: {
      address,
      ...facts,
      problem: failure === undefined ? null : problemOf(failure, circumstances),
      noRoute: isNoRoute(failure?.cause),
      timedOut: failure?.reason === 'timeout' || isTimeout(failure?.cause),
    },
    fetch,
    body: bodyOf(exchange, fetch),
  }
}

/** Returns the text of the policy file; undefined for a response that is no such file. */
function bodyOf(exchange: HttpsExchange, fetch: PolicyFetch): string | undefined {
  if (fetch.kind === 'fetched') return fetch.body
  const unreadable = exchange.ok && fetch.failure.resultType === 'sts-policy-invalid'
  return unreadable ? new TextDecoder().decode(exchange.body) : undefined
}

type Facts = Omit<PolicyAddressCheck, 'address' | 'problem' | 'noRoute' | 'timedOut'>

function factsOf({ tls, status, headers, body, times }: HttpsExchange): Facts {
  const certificate = tls?.certificate
  const modified = new Date(headers?.['last-modified'] ?? '')
  const { ended } = times
  return {
    tlsVersion: tls?.version ?? null,
    certificate: certificate === undefined ? null : certificateFacts(certificate),
    status: status ?? null,
    type: headers?.['content-type'] ?? null,
    bytes: lengthOf(headers?.['content-length'], body),
    lastModified: Number.isNaN(modified.getTime()) ? null : modified.toISOString(),
    milliseconds: ended === undefined ? null : Math.round(ended),
  }
}

/** A body that a sender does not read is as long as the host says. */
function lengthOf(declared: string | undefined, body: Buffer | undefined): number | null {
  if (body !== undefined && body.length > 0) return body.length
  if (declared === undefined || !/^\d{1,15}$/.test(declared)) return body?.length ?? null
  return Number(declared)
}
