/**
 * One HTTPS GET of a policy file (RFC 8461 §3.3): port 443 of `mta-sts.` + Policy Domain, a
 * certificate for that name, status 200, `text/plain`, at most 64 KiB, before a deadline.
 *
 * @module
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { BlockList } from 'node:net'
import type { Resolver } from '../dns/resolver.js'
import { MtaStsError, PolicySyntaxError } from '../errors.js'
import { exchanges, type HttpsExchange, type HttpsRequest } from '../https/exchange.js'
import type { Connect } from '../net/connect.js'
import type { FailureReason, TlsFailure } from '../tls/failures.js'
import type { TrustedRoots } from '../tls/options.js'
import { POLICY_PATH, policyHost } from './names.js'
import { MAX_POLICY_BYTES, type Policy, readPolicy } from './policy-file.js'

export interface FetchOptions {
  resolver: Resolver
  connect: Connect
  blockedAddresses: BlockList
  roots: TrustedRoots
  /** Limit of the whole GET, from DNS to the last byte, in milliseconds */
  fetchTimeout: number
  /** Limit of a DNS query, in milliseconds */
  dnsTimeout: number
  /** Aborts a GET that is under way */
  signal?: AbortSignal | undefined
}

export type PolicyFetch =
  | { kind: 'fetched'; policy: Policy; body: string }
  | { kind: 'failed'; failure: TlsFailure }

/**
 * Fetches and parses the policy of a Policy Domain (A-labels) from the first address of the policy
 * host with a valid one. Else returns the failure of the last address. Never rejects.
 */
export async function fetchPolicy(
  policyDomain: string,
  options: FetchOptions,
): Promise<PolicyFetch> {
  const request = policyRequest(policyDomain)
  const { fetchTimeout: timeout, resolver, connect, blockedAddresses } = options
  const { roots, dnsTimeout, signal } = options
  const limits = { resolver, connect, blockedAddresses, roots, dnsTimeout, timeout, signal }
  let last = failed('sts-policy-fetch-error', 'timeout')
  for await (const exchange of exchanges(request, limits)) {
    last = policyOf(exchange)
    if (last.kind === 'fetched') break
  }
  return last
}

/** Returns the request for the policy file of a Policy Domain. */
export function policyRequest(policyDomain: string): HttpsRequest {
  return {
    purpose: 'policy',
    host: policyHost(policyDomain),
    method: 'GET',
    path: POLICY_PATH,
    headers: {
      accept: 'text/plain',
      'accept-encoding': 'identity',
      'user-agent': 'mta-sts (RFC 8461)',
    },
    maxBody: MAX_POLICY_BYTES,
    wantsBody: (status, headers) => headProblem(status, headers) === undefined,
  }
}

/** Returns the policy in a policy host's response, or the fault of the response. */
export function policyOf(exchange: HttpsExchange): PolicyFetch {
  if (!exchange.ok) {
    const { certificate, reason, cause } = exchange.failure
    return failed(certificate ? 'sts-webpki-invalid' : 'sts-policy-fetch-error', reason, cause)
  }
  const problem = headProblem(exchange.status, exchange.headers)
  if (problem) {
    const message = `The policy host's answer cannot be used: ${problem}`
    return failed('sts-policy-fetch-error', problem, new MtaStsError(message, 'EPOLICYFETCH'))
  }
  try {
    return { kind: 'fetched', ...readPolicy(exchange.body) }
  } catch (error) {
    if (error instanceof PolicySyntaxError) return failed('sts-policy-invalid', undefined, error)
    throw error
  }
}

/** Returns the fault of a response's status and headers, if it has one. */
function headProblem(status: number, headers: IncomingHttpHeaders): FailureReason | undefined {
  if (status !== 200) return `http-status-${status}`
  const mediaType = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase()
  if (mediaType !== 'text/plain') return 'media-type'
  if (!listOf(headers['content-encoding']).every(isIdentity)) return 'content-encoding'
  const { 'content-length': length, 'transfer-encoding': transfer } = headers
  // A body framed in another way ends with the connection, which anybody on the network can end
  // (RFC 9112 §6.3, §9.8)
  if (transfer !== undefined && transfer.trim().toLowerCase() !== 'chunked') {
    return 'transfer-encoding'
  }
  if (length === undefined && transfer === undefined) return 'no-length'
  if (Number(length ?? 0) > MAX_POLICY_BYTES) return 'too-large'
  return undefined
}

/** Returns the elements of a list header, without empty ones (RFC 9110 §5.6.1). */
function listOf(header: string | undefined): string[] {
  const elements = (header ?? '').split(',').map((element) => element.trim().toLowerCase())
  return elements.filter((element) => element !== '')
}

/** Whether a content coding leaves the content as it is (RFC 9110 §8.4.1). */
function isIdentity(coding: string): boolean {
  return coding === 'identity'
}

function failed(
  resultType: TlsFailure['resultType'],
  reason: FailureReason | undefined,
  cause?: unknown,
): PolicyFetch {
  return {
    kind: 'failed',
    failure: {
      resultType,
      ...(reason === undefined ? {} : { reason }),
      ...(cause === undefined ? {} : { cause }),
    },
  }
}
