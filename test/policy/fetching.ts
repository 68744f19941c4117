/** Policy hosts to fetch policies from: those of a mail world, and servers that send given bytes. */
import type { Socket } from 'node:net'
import type { TLSSocket, TlsOptions } from 'node:tls'
import { afterAll, afterEach, beforeAll, vi } from 'vitest'
import { defaultBlockedAddresses } from '../../src/net/blocked-addresses.js'
import type { ConnectTarget } from '../../src/net/connect.js'
import { type FetchOptions, fetchPolicy, type PolicyFetch } from '../../src/policy/fetch.js'
import type { CertificateAuthority } from '../../src/testing/authority.js'
import { createMailWorld, type MailDomain, type MailWorld } from '../../src/testing/index.js'
import type { TlsFailure } from '../../src/tls/failures.js'
import { trustedRoots } from '../../src/tls/options.js'
import { makeAuthority, type Records, resolverOf, Servers } from '../tls/support.js'

export const DOMAIN = 'bob.example'
export const HOST = `mta-sts.${DOMAIN}`
export const POLICY = 'version: STSv1\r\nmode: enforce\r\nmx: mx.bob.example\r\nmax_age: 604800\r\n'
export const PARSED = { version: 'STSv1', mode: 'enforce', mx: ['mx.bob.example'], maxAge: 604_800 }

export const servers = new Servers()
export let authority: CertificateAuthority
export let world: MailWorld
export let good: { key: string; cert: string }
let names = 0

/** Call it at the top of a test file. */
export function useFetching(): void {
  beforeAll(async () => {
    authority = await makeAuthority()
    good = await authority.issue({ san: [`DNS:${HOST}`] })
    world = await createMailWorld({ dnsTimeout: 5000 })
  })
  afterEach(async () => {
    vi.unstubAllEnvs()
    await servers.close()
  })
  afterAll(() => world.close())
}

/** Limits that decide only the tests of the deadline. */
export const defaults = () => ({
  blockedAddresses: defaultBlockedAddresses(),
  fetchTimeout: 20_000,
  dnsTimeout: 10_000,
})

/** A separate domain of the world. */
export function freshDomain(): MailDomain {
  return world.domain(`d${++names}.example`, { mode: 'enforce' })
}

/** GETs the policy of a domain of the world. */
export function fetchFrom(
  domain: string,
  options: Partial<FetchOptions> = {},
): { sockets: Socket[]; result: Promise<PolicyFetch> } {
  const { resolver, connect, ca } = world.options()
  const sockets: Socket[] = []
  const result = fetchPolicy(domain, {
    ...defaults(),
    resolver,
    roots: trustedRoots(ca),
    connect: (target) => {
      const socket = connect(target)
      sockets.push(socket)
      return socket
    },
    ...options,
  })
  return { sockets, result }
}

/** GETs the policy of `bob.example` from servers of a test's own. */
export function fetchOver(
  wire: { connect(target: ConnectTarget): Socket | Promise<Socket> },
  options: Partial<FetchOptions> & { records?: Records } = {},
): Promise<PolicyFetch> {
  const { records = { a: ['192.0.2.1'] }, ...rest } = options
  return fetchPolicy(DOMAIN, {
    ...defaults(),
    resolver: resolverOf(records),
    roots: trustedRoots(authority.root),
    connect: wire.connect,
    ...rest,
  })
}

export function failureOf(fetched: PolicyFetch): TlsFailure {
  if (fetched.kind === 'failed') return fetched.failure
  throw new Error('It was fetched')
}

export function said(fetched: PolicyFetch): { resultType: string; reason: string | undefined } {
  const { resultType, reason } = failureOf(fetched)
  return { resultType, reason }
}

export const fetchError = (reason: string) => ({ resultType: 'sts-policy-fetch-error', reason })
export const webpki = (reason: string) => ({ resultType: 'sts-webpki-invalid', reason })

/** Answers every request with these bytes, or lets a function do it. */
export type Answer = string | Buffer | ((socket: TLSSocket, head: string) => void)

/** A policy host that sends given bytes. */
export async function policyHost(
  answer: Answer,
  options: TlsOptions = {},
): Promise<{ port: number; heads: string[]; sockets: TLSSocket[] }> {
  const heads: string[] = []
  const sockets: TLSSocket[] = []
  const port = await servers.tls({ ...good, ...options }, (socket) => {
    sockets.push(socket)
    let head = ''
    socket.on('data', (chunk) => {
      const before = head.includes('\r\n\r\n')
      head += chunk.toString('latin1')
      if (before || !head.includes('\r\n\r\n')) return
      heads.push(head)
      if (typeof answer === 'function') answer(socket, head)
      else socket.end(answer)
    })
  })
  return { port, heads, sockets }
}

/** A response with a Content-Length. */
export function response(
  body: string | Buffer,
  headers: Record<string, string> = { 'Content-Type': 'text/plain' },
  status = '200 OK',
): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const length = `Content-Length: ${Buffer.byteLength(body)}\r\n`
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 ${status}\r\n${lines.join('')}${length}Connection: close\r\n\r\n`),
    Buffer.from(body),
  ])
}

export const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n'

/** The same in chunks, of which the last may be missing. */
export function chunked(chunks: readonly string[], last = '0\r\n\r\n'): string {
  const parts = chunks.map((part) => `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`)
  return `${HEAD}Transfer-Encoding: chunked\r\n\r\n${parts.join('')}${last}`
}

/** A valid policy of exactly this many bytes. */
export function policyOf(bytes: number): string {
  const start = `${POLICY}x_padding: `
  return `${start}${'x'.repeat(bytes - start.length)}`
}
