/**
 * The policy host, address by address: what it shows, and what the core's own GET makes of it.
 *
 * @module
 */
import { type IncomingMessage, request } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { lookupAddresses } from '../../dns/addresses.js'
import type { Resolver } from '../../dns/resolver.js'
import { connectFirst } from '../../net/connect.js'
import type { Settings } from '../../options.js'
import { fetchPolicy, type PolicyFetch } from '../../policy/fetch.js'
import { MAX_POLICY_BYTES } from '../../policy/policy-file.js'
import { tlsOptions } from '../../tls/options.js'
import { judge } from '../../tls/verdict.js'
import type { PolicyAddressCheck, PolicyHostCheck } from './findings.js'
import { AUDITED, shakeHands, within } from './handshake.js'
import { isNoRoute, problemOf } from './problem.js'

/** What a policy host is like, and what a sender gets from it. */
export interface PolicyHostInspection {
  check: PolicyHostCheck
  /** As with a sender: from the first address that gives a policy, or else the last failure */
  fetch: PolicyFetch
  /** The policy file, valid or not */
  body: string | undefined
}

export async function inspectPolicyHost(
  policyDomain: string,
  settings: Settings,
): Promise<PolicyHostInspection> {
  const host = policyHostOf(policyDomain)
  const { addresses, blocked } = await lookupAddresses(host, settings)
  const inspected = await Promise.all(
    addresses.map((address) => inspectAddress({ policyDomain, address, settings })),
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
  // No address: the core says what that amounts to, in the words in which it would be reported
  const fetch = await fetchPolicy(policyDomain, settings)
  const circumstances = { certificate: null, now: settings.now() }
  const problem = fetch.kind === 'failed' ? problemOf(fetch.failure, circumstances) : null
  return { check: { host, addresses: checks, blocked, problem }, fetch, body: undefined }
}

export function policyHostOf(policyDomain: string): string {
  return `mta-sts.${policyDomain}`
}

interface Place {
  policyDomain: string
  address: string
  settings: Settings
}

interface AddressInspection {
  check: PolicyAddressCheck
  fetch: PolicyFetch
  body: string | undefined
}

async function inspectAddress(place: Place): Promise<AddressInspection> {
  const { policyDomain, address, settings } = place
  const [looked, fetch] = await Promise.all([
    look(place).catch(() => NOTHING_SEEN),
    fetchPolicy(policyDomain, { ...settings, resolver: only(address) }),
  ])
  const { body, ...facts } = looked
  const failure = fetch.kind === 'failed' ? fetch.failure : undefined
  const circumstances = { certificate: facts.certificate, now: settings.now() }
  return {
    check: {
      address,
      ...facts,
      problem: failure === undefined ? null : problemOf(failure, circumstances),
      noRoute: isNoRoute(failure?.cause),
    },
    fetch,
    body: fetch.kind === 'fetched' ? fetch.body : body,
  }
}

/** A resolver that knows one address, so that the core's GET goes there. */
function only(address: string): Resolver {
  const none = async () => []
  const [resolve4, resolve6] = [async () => [address], none]
  const isIPv6 = address.includes(':')
  return {
    resolveTxt: none,
    resolveMx: none,
    resolve4: isIPv6 ? resolve6 : resolve4,
    resolve6: isIPv6 ? resolve4 : resolve6,
  }
}

type Seen = Omit<PolicyAddressCheck, 'address' | 'problem' | 'noRoute'> & {
  body: string | undefined
}

const NOTHING_SEEN: Seen = {
  tlsVersion: null,
  certificate: null,
  status: null,
  type: null,
  bytes: null,
  lastModified: null,
  milliseconds: null,
  body: undefined,
}

/** What the core's GET does not tell of: certificate, status, type, length and time. */
function look({ policyDomain, address, settings }: Place): Promise<Seen> {
  const host = policyHostOf(policyDomain)
  return within(settings.fetchTimeout, async (signal) => {
    const begun = performance.now()
    const { socket } = await connectFirst([{ purpose: 'policy', host, address, port: 443 }], {
      connect: settings.connect,
      timeout: settings.fetchTimeout,
      signal,
    })
    const abort = () => socket.destroy()
    socket.on('error', () => undefined)
    signal.addEventListener('abort', abort, { once: true })
    try {
      const audit = {
        tls: { ...tlsOptions(host, AUDITED, settings.roots), ALPNProtocols: ['http/1.1'] },
        verify: (secured: TLSSocket) => judge(secured, host, AUDITED),
      }
      const {
        socket: secured,
        version,
        certificate,
        failure,
      } = await shakeHands(socket, audit, signal)
      const shown = { ...NOTHING_SEEN, tlsVersion: version, certificate }
      // Nothing is asked of a host that has not proved to be the policy host
      if (failure !== undefined) return shown
      const response = await get(secured, host).catch(() => undefined)
      return { ...shown, ...response, milliseconds: Math.round(performance.now() - begun) }
    } finally {
      signal.removeEventListener('abort', abort)
      socket.destroy()
    }
  })
}

type Response = Pick<Seen, 'status' | 'type' | 'bytes' | 'lastModified' | 'body'>

function get(socket: TLSSocket, host: string): Promise<Response> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      createConnection: () => socket,
      host,
      path: '/.well-known/mta-sts.txt',
      headers: {
        host,
        accept: 'text/plain',
        'accept-encoding': 'identity',
        'user-agent': 'mta-sts check (RFC 8461)',
      },
    })
    outgoing.on('error', reject)
    outgoing.once('response', (response) => read(response).then(resolve, reject))
    outgoing.end()
  })
}

async function read(response: IncomingMessage): Promise<Response> {
  const { statusCode = null, headers } = response
  const body = await bodyOf(response)
  const modified = new Date(headers['last-modified'] ?? '')
  return {
    status: statusCode,
    type: headers['content-type'] ?? null,
    bytes: body.length,
    lastModified: Number.isNaN(modified.getTime()) ? null : modified.toISOString(),
    // Only what could be a policy is worth being shown line by line
    body:
      statusCode === 200 && body.length <= MAX_POLICY_BYTES
        ? new TextDecoder().decode(body)
        : undefined,
  }
}

/** As much as came, and not much more than a policy may have. */
async function bodyOf(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of response) {
      chunks.push(chunk)
      size += chunk.length
      if (size > MAX_POLICY_BYTES) break
    }
  } catch {
    // Broken off, or out of time: what status and type it had is known
  }
  return Buffer.concat(chunks)
}
