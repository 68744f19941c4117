/**
 * A report by HTTPS (RFC 8460 §5.4): one POST to a collector that proves its name, all of it before
 * a deadline; 2xx means that the collector has it, nothing is followed.
 *
 * @module
 */
import { request } from 'node:http'
import type { BlockList, Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { lookupAddresses } from '../dns/addresses.js'
import type { Resolver } from '../dns/resolver.js'
import { MtaStsError } from '../errors.js'
import {
  type Connect,
  type Connected,
  type ConnectTarget,
  connectFirst,
  discard,
} from '../net/connect.js'
import { escapeRemoteText, textOfThrown } from '../text.js'
import { type TrustedRoots, verifiedTls } from '../tls/options.js'

export interface PostOptions {
  resolver: Resolver
  connect: Connect
  blockedAddresses: BlockList
  roots: TrustedRoots
  /** For a DNS query, in milliseconds */
  dnsTimeout: number
  /** For the whole POST, from DNS to the status, in milliseconds */
  postTimeout: number
}

/** For each address to be connected to, in milliseconds. */
const CONNECT_TIMEOUT = 10_000

const HTTPS_PORT = 443

/** @throws MtaStsError `EREPORTPOST` unless the collector has said that it took the report */
export async function postReport(url: URL, body: Buffer, options: PostOptions): Promise<void> {
  const deadline = new AbortController()
  const timer = setTimeout(() => {
    deadline.abort(problem(url, `it took longer than ${options.postTimeout} ms`))
  }, options.postTimeout)
  try {
    const status = await post(url, body, { ...options, signal: deadline.signal })
    if (status < 200 || status > 299) throw problem(url, `it answered ${status}`)
  } catch (cause) {
    deadline.signal.throwIfAborted()
    if (cause instanceof MtaStsError && cause.code === 'EREPORTPOST') throw cause
    throw problem(url, textOfThrown(cause), cause)
  } finally {
    clearTimeout(timer)
  }
}

interface Sending extends PostOptions {
  signal: AbortSignal
}

async function post(url: URL, body: Buffer, options: Sending): Promise<number> {
  const socket = await connectTo(url, options)
  const abort = () => socket.destroy()
  options.signal.addEventListener('abort', abort, { once: true })
  try {
    options.signal.throwIfAborted()
    return await exchange(socket, url, body)
  } finally {
    options.signal.removeEventListener('abort', abort)
    discard(socket)
  }
}

/** A verified TLS session with one of the collector's addresses, each tried once. */
async function connectTo(url: URL, options: Sending): Promise<TLSSocket> {
  const host = url.hostname
  const found = await lookupAddresses(host, options)
  if (found.problem) throw problem(url, `of its addresses: ${found.problem}`, found.cause)
  const port = Number(url.port || HTTPS_PORT)
  let targets: ConnectTarget[] = found.addresses.map((address) => ({
    purpose: 'policy',
    host,
    address,
    port,
  }))
  for (;;) {
    const connected: Connected = await connectFirst(targets, {
      connect: options.connect,
      timeout: Math.min(CONNECT_TIMEOUT, options.postTimeout),
      signal: options.signal,
    })
    targets = connected.remaining
    try {
      return await secure(connected.socket, host, options)
    } catch (error) {
      // Nothing of the report was sent yet: the next address may have it
      if (targets.length === 0) throw error
      options.signal.throwIfAborted()
    }
  }
}

function secure(socket: Socket, host: string, { roots, signal }: Sending): Promise<TLSSocket> {
  const secured = connectTls({ socket, ...verifiedTls(host, roots), ALPNProtocols: ['http/1.1'] })
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      discard(secured)
      discard(socket)
      settle(() => reject(error))
    }
    const onClose = () => fail(new Error('The connection was closed in the handshake'))
    const onAbort = () => fail(signal.reason)
    const settle = (done: () => void) => {
      signal.removeEventListener('abort', onAbort)
      secured.off('error', fail).off('close', onClose)
      done()
    }
    secured.once('secureConnect', () => settle(() => resolve(secured)))
    secured.once('error', fail).once('close', onClose)
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

/** The status; what else the collector says is not waited for. */
function exchange(socket: TLSSocket, url: URL, body: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      // Without an agent: nothing is kept, nothing is taken from the environment
      createConnection: () => socket,
      method: 'POST',
      host: url.hostname,
      path: url.pathname + url.search,
      headers: {
        host: url.host,
        'content-type': 'application/tlsrpt+gzip',
        'content-length': body.length,
        'user-agent': 'mta-sts (RFC 8460)',
      },
    })
    outgoing.once('response', ({ statusCode = 0 }) => resolve(statusCode))
    outgoing.on('error', reject)
    socket.once('close', () => reject(new Error('The connection was closed before an answer')))
    outgoing.end(body)
  })
}

function problem(url: URL, why: string, cause?: unknown): MtaStsError {
  return new MtaStsError(
    `The report was not taken by ${escapeRemoteText(url.origin)}: ${escapeRemoteText(why)}`,
    'EREPORTPOST',
    { cause },
  )
}
