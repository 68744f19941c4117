/** TLS with certificates of our own authority; verification is always on. */
import { KeyObject, webcrypto } from 'node:crypto'
import { once } from 'node:events'
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Server,
  type Socket,
  connect as tcpConnect,
} from 'node:net'
import {
  type ConnectionOptions,
  createServer as createTlsServer,
  type TLSSocket,
  type TlsOptions,
  connect as tlsConnect,
} from 'node:tls'
import type { Resolver } from '../../src/dns/resolver.js'
import type { ConnectTarget } from '../../src/net/connect.js'
import { CertificateAuthority, type Credentials } from '../../src/testing/authority.js'
import { x509 } from '../support/x509.js'

export { x509 }

const DAY = 86_400_000
const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

export function makeAuthority(): Promise<CertificateAuthority> {
  return CertificateAuthority.create()
}

type Extension = InstanceType<typeof x509.Extension>

export interface IssueSpec {
  /** Subject, `CN=Some Root`; default: empty */
  subject?: string
  /** Default: signed by itself */
  issuer?: Issued
  /** An authority, with this path length; default: a server's certificate */
  authority?: { pathLength?: number }
  /** Default: server authentication */
  usage?: string
  san?: readonly string[]
  extensions?: readonly Extension[]
  /** From and to, in days from now; default -1 and 30 */
  validity?: readonly [number, number]
}

/** A certificate with its key, and the chain that a server sends. */
export interface Issued {
  subject: string
  keys: webcrypto.CryptoKeyPair
  /** The certificate alone, PEM */
  pem: string
  key: string
}

/**
 * Issues certificates that the authority of a mail world cannot make: purposes, path lengths,
 * signatures.
 */
export async function issue(spec: IssueSpec): Promise<Issued> {
  const keys = await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify'])
  const { subject = '', authority, validity = [-1, 30] } = spec
  const issuer = spec.issuer ?? { subject, keys }
  const san = (spec.san ?? []).map((value) => ({ type: 'dns' as const, value }))
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject,
      issuer: issuer.subject,
      notBefore: new Date(Date.now() + validity[0] * DAY),
      notAfter: new Date(Date.now() + validity[1] * DAY),
      publicKey: keys.publicKey,
      signingKey: issuer.keys.privateKey,
      signingAlgorithm: EC,
      extensions: [
        new x509.BasicConstraintsExtension(authority !== undefined, authority?.pathLength, true),
        ...(authority
          ? [new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true)]
          : [new x509.ExtendedKeyUsageExtension([spec.usage ?? x509.ExtendedKeyUsage.serverAuth])]),
        ...(san.length > 0 ? [new x509.SubjectAlternativeNameExtension(san, subject === '')] : []),
        ...(spec.extensions ?? []),
      ],
    },
    webcrypto,
  )
  return {
    subject,
    keys,
    pem: certificate.toString('pem'),
    key: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

/** The chain of a server: its own certificate, and those that it sends along. */
export function chain(leaf: Issued, ...others: readonly Issued[]): Credentials {
  return { key: leaf.key, cert: [leaf, ...others].map(({ pem }) => pem).join('\n') }
}

/** Servers on loopback; `close` ends all of them and every connection they have. */
export class Servers {
  readonly #servers = new Set<Server>()
  readonly #sockets = new Set<Socket>()

  /** A TLS server; `onSecure` is called with every connection whose handshake is complete. */
  tls(options: TlsOptions, onSecure: (socket: TLSSocket) => void = () => {}): Promise<number> {
    const server = createTlsServer({ ...options })
    server.on('secureConnection', (socket) => {
      // Clients that disconnect are expected
      socket.on('error', () => {})
      onSecure(socket)
    })
    server.on('tlsClientError', () => {})
    return this.#open(server)
  }

  /** A TCP server. Without `onConnection` it accepts and never sends anything. */
  tcp(onConnection: (socket: Socket) => void = () => {}): Promise<number> {
    return this.#open(createTcpServer(onConnection))
  }

  async close(): Promise<void> {
    const closed = [...this.#servers].map((server) => {
      const end = once(server, 'close')
      server.close()
      return end
    })
    for (const socket of this.#sockets) socket.destroy()
    this.#servers.clear()
    await Promise.all(closed)
  }

  async #open(server: Server): Promise<number> {
    this.#servers.add(server)
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => this.#sockets.delete(socket))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
}

export type Handshake = { socket: TLSSocket } | { error: Error }

/** One completed or failed handshake with a server on loopback. */
export function handshake(
  port: number,
  options: ConnectionOptions,
  connect: (options: ConnectionOptions) => TLSSocket = tlsConnect,
): Promise<Handshake> {
  const socket = connect({ socket: tcpConnect(port, '127.0.0.1'), ...options })
  return new Promise((resolve) => {
    socket.once('secureConnect', () => resolve({ socket }))
    socket.once('error', (error) => resolve({ error }))
    socket.once('close', () => resolve({ error: new Error('closed without an error') }))
  })
}

/** The socket of a handshake that was completed. */
export function socketOf(result: Handshake): TLSSocket {
  if ('error' in result) throw result.error
  return result.socket
}

/** The error of a handshake that failed. */
export function errorOf(result: Handshake): Error {
  if ('error' in result) return result.error
  result.socket.destroy()
  throw new Error('The handshake was completed')
}

/** The destination of an address: a port on loopback, a refusal, or no answer. */
export type Route = number | 'refuse' | 'hang'

/** A `connect` hook that maps logical addresses to loopback and records its calls. */
export class Wire {
  readonly dials: ConnectTarget[] = []
  readonly sockets: Socket[] = []
  readonly #routes: ReadonlyMap<string, Route>

  constructor(routes: Record<string, Route>) {
    this.#routes = new Map(Object.entries(routes))
  }

  readonly connect = (target: ConnectTarget): Socket => {
    this.dials.push(target)
    const socket = openSocket(this.#routes.get(target.address) ?? 'refuse')
    this.sockets.push(socket)
    return socket
  }

  /** The addresses that were dialled, in order. */
  get addresses(): string[] {
    return this.dials.map(({ address }) => address)
  }

  /** The sockets that were not destroyed. */
  get left(): Socket[] {
    return this.sockets.filter(({ destroyed }) => !destroyed)
  }
}

export function openSocket(route: Route): Socket {
  if (typeof route === 'number') return tcpConnect(route, '127.0.0.1')
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  return tcpConnect({
    host: 'nowhere.invalid',
    port: 1,
    // Called back with an error, or never: the socket remains connecting
    lookup: (_host, _options, done) => {
      if (route === 'refuse') done(refused, '', 4)
    },
  })
}

export interface Records {
  a?: readonly string[] | Error
  aaaa?: readonly string[] | Error
  txt?: readonly (readonly string[])[] | Error
}

/** An error as `node:dns` has them. */
export function dnsError(code: string): Error {
  return Object.assign(new Error(`query ${code}`), { code })
}

/** Answers the same for every name. Omitted types are ENODATA. */
export function resolverOf({ a, aaaa, txt }: Records): Resolver {
  return {
    resolve4: () => answer(a),
    resolve6: () => answer(aaaa),
    resolveTxt: async () => (await answer(txt)).map((strings) => [...strings]),
    resolveMx: () => answer<{ exchange: string; priority: number }>(undefined),
  }
}

async function answer<T>(records: readonly T[] | Error | undefined): Promise<T[]> {
  if (records instanceof Error) throw records
  if (records === undefined) throw dnsError('ENODATA')
  return [...records]
}
