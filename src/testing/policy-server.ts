/**
 * The HTTPS server of the policy hosts of a world. SNI decides on certificate and response.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import type { WorldClock } from './clock.js'
import type { TlsFacts, WorldLog } from './log.js'
import type { PolicySite } from './policy-site.js'

export interface PolicyServerSetup {
  log: WorldLog
  clock: WorldClock
  /** By name, in lower case */
  sites: ReadonlyMap<string, PolicySite>
  /** Of the addresses that its clients dialled */
  family: 4 | 6
}

export class PolicyServer {
  readonly #setup: PolicyServerSetup
  readonly #server: Server

  constructor(setup: PolicyServerSetup) {
    this.#setup = setup
    this.#server = createServer()
    this.#server.on('request', (request, response) => this.#onRequest(request, response))
  }

  /** Takes a connection: the server does not listen itself. */
  async accept(socket: Socket, site: PolicySite): Promise<void> {
    const settings = await site.secure(this.#setup.family)
    const secureContext = createSecureContext(settings)
    if (socket.destroyed) return
    // A server of node:https takes no socket that it has not accepted itself on every runtime
    const secure = new TLSSocket(socket, {
      ...settings,
      isServer: true,
      secureContext,
      ALPNProtocols: ['http/1.1'],
      SNICallback: (servername, done) => {
        if (servername.toLowerCase() === site.name) return done(null, secureContext)
        this.#context(servername).then(
          (context) => done(null, context),
          (error) => done(error),
        )
      },
    })
    for (const event of ['error', '_tlsError']) secure.on(event, () => socket.destroy())
    secure.once('secure', () => this.#server.emit('connection', secure))
  }

  close(): void {
    this.#server.close()
  }

  async #context(servername: string): Promise<SecureContext> {
    const { sites, family } = this.#setup
    const site = sites.get(servername.toLowerCase())
    if (site === undefined) throw new Error(`No policy host is called ${servername}`)
    return createSecureContext(await site.secure(family))
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    if (!(request.socket instanceof TLSSocket)) return
    const { sites, log, clock, family } = this.#setup
    const tls = tlsFacts(request.socket)
    const servername = tls.servername?.toLowerCase() ?? ''
    const site = sites.get(servername)
    const entry = {
      kind: 'get' as const,
      host: servername,
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      status: 0,
      resumed: request.socket.isSessionReused(),
      tls,
      at: clock.now(),
    }
    log.add(entry)
    if (site !== undefined && hostNamed(request) === servername) {
      entry.status = site.respond(request, response, family)
    } else {
      // RFC 9110 §15.5.20: this certificate was not shown for that host
      entry.status = 421
      response.writeHead(421).end()
    }
  }
}

function hostNamed(request: IncomingMessage): string | undefined {
  return request.headers.host?.toLowerCase().replace(/:443$/, '')
}

export function tlsFacts(socket: TLSSocket): TlsFacts {
  const servername: unknown = 'servername' in socket ? socket.servername : undefined
  return {
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher().name,
    servername: typeof servername === 'string' ? servername : undefined,
  }
}
