/**
 * Sends a report by HTTPS (RFC 8460 §5.4): one POST to a collector that proves its name, within a
 * deadline. A status of 2xx means that the collector has the report.
 *
 * @module
 */
import type { BlockList } from 'node:net'
import type { Resolver } from '../dns/resolver.js'
import { MtaStsError } from '../errors.js'
import { exchanges, type HttpsExchange, type HttpsRequest } from '../https/exchange.js'
import type { Connect } from '../net/connect.js'
import { escapeRemoteText } from '../text.js'
import type { TrustedRoots } from '../tls/options.js'

export interface PostOptions {
  resolver: Resolver
  connect: Connect
  blockedAddresses: BlockList
  roots: TrustedRoots
  /** Limit of a DNS query, in milliseconds */
  dnsTimeout: number
  /** Limit of the whole POST, from DNS to the status, in milliseconds */
  postTimeout: number
}

/** @throws MtaStsError `EREPORTPOST` unless the collector confirms that it accepted the report */
export async function postReport(url: URL, body: Buffer, options: PostOptions): Promise<void> {
  const { postTimeout } = options
  const exchange = await post(requestOf(url, body), { ...options, timeout: postTimeout })
  if (!exchange.ok) {
    const { reason, cause } = exchange.failure
    const why = reason === 'timeout' ? `it took longer than ${postTimeout} ms` : cause.message
    throw problem(url, why, cause)
  }
  const { status } = exchange
  if (status < 200 || status > 299) throw problem(url, `it answered ${status}`)
}

/** Tries each address until the request was sent: no part of a report is sent twice. */
async function post(
  request: HttpsRequest,
  options: Parameters<typeof exchanges>[1],
): Promise<HttpsExchange> {
  let last: HttpsExchange | undefined
  for await (const exchange of exchanges(request, options)) {
    last = exchange
    if (exchange.sent) break
  }
  if (last === undefined) throw new TypeError('an exchange comes to one result at least')
  return last
}

function requestOf(url: URL, body: Buffer): HttpsRequest {
  return {
    purpose: 'report',
    host: url.hostname,
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    method: 'POST',
    path: url.pathname + url.search,
    headers: {
      'content-type': 'application/tlsrpt+gzip',
      'user-agent': 'mta-sts (RFC 8460)',
    },
    body,
    maxBody: 0,
    // The status is enough
    wantsBody: () => false,
  }
}

function problem(url: URL, why: string, cause?: unknown): MtaStsError {
  return new MtaStsError(
    `The report was not accepted by ${escapeRemoteText(url.origin)}: ${escapeRemoteText(why)}`,
    'EREPORTPOST',
    { cause },
  )
}
