/**
 * The network of a mail world: one listener on loopback that plays every TCP endpoint there is.
 *
 * A sender dials logical addresses and ports. `dial` opens a connection to the one real port and
 * keeps what was dialled; when the connection arrives, it is known by the client's port and handed
 * to the endpoint it was meant for. So nothing has to be started for an MX host or a policy host,
 * and no port has to be chosen.
 *
 * @module
 */
import { once } from 'node:events'
import {
  type AddressInfo,
  createServer,
  connect as netConnect,
  type Server,
  type Socket,
} from 'node:net'
import { closeServer, OpenSockets } from './open-sockets.js'

/** Takes over a connection that has arrived. */
export type Accept = (socket: Socket) => void

export class Loopback {
  readonly #server: Server
  readonly #port: number
  /** By the client's port: what accepts it, or the socket that arrived, whichever is known first */
  readonly #dialled = new Map<number, Accept>()
  readonly #arrived = new Map<number, Socket>()
  /** Clients that are not connected yet */
  readonly #dialling = new Set<Socket>()
  readonly #sockets = new OpenSockets()
  /** The near ends of connections that the world itself has dialled */
  readonly #own = new OpenSockets()

  private constructor(server: Server) {
    this.#server = server
    this.#port = (server.address() as AddressInfo).port
    server.on('connection', (socket) => this.#arrive(socket))
  }

  static async open(): Promise<Loopback> {
    const server = createServer({ noDelay: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    // A world that is not closed must not keep the process alive
    server.unref()
    return new Loopback(server)
  }

  dial(accept: Accept): Socket {
    const socket = netConnect({ host: '127.0.0.1', port: this.#port, noDelay: true })
    this.#dialling.add(socket)
    socket.once('connect', () => {
      this.#match(socket, accept)
      this.#settle(socket)
    })
    socket.once('close', () => this.#settle(socket))
    return socket
  }

  /** Opens a connection of the world itself, whose near end `close()` destroys too. */
  dialOwn(accept: Accept): Socket {
    const socket = this.dial(accept)
    this.#own.add(socket)
    return socket
  }

  #match(socket: Socket, accept: Accept): void {
    const port = socket.localPort
    if (port === undefined) return
    const arrived = this.#arrived.get(port)
    this.#arrived.delete(port)
    if (arrived === undefined) {
      this.#dialled.set(port, accept)
      socket.once('close', () => this.#dialled.delete(port))
    } else {
      accept(arrived)
    }
  }

  /** Destroys what arrived and is not claimed when no client connects any more. */
  #settle(socket: Socket): void {
    this.#dialling.delete(socket)
    if (this.#dialling.size > 0) return
    for (const orphan of this.#arrived.values()) orphan.destroy()
    this.#arrived.clear()
  }

  #arrive(socket: Socket): void {
    // Clients that end connections are expected
    socket.on('error', () => undefined)
    socket.unref()
    this.#sockets.add(socket)
    const port = socket.remotePort ?? 0
    const accept = this.#dialled.get(port)
    this.#dialled.delete(port)
    if (accept !== undefined) accept(socket)
    else if (this.#dialling.size > 0) this.#arrived.set(port, socket)
    else socket.destroy()
  }

  /** Ends the connections of the hosts; senders close their own ends. */
  async close(): Promise<void> {
    await Promise.all([closeServer(this.#server, this.#sockets), this.#own.close()])
  }
}

/** Returns the error of `net.connect` for a closed port. */
export function refusedError({ address, port }: { address: string; port: number }): Error {
  return Object.assign(new Error(`connect ECONNREFUSED ${address}:${port}`), {
    code: 'ECONNREFUSED',
    syscall: 'connect',
    address,
    port,
  })
}

/** Returns a socket that fails like one to a closed port. */
export function refusedSocket(address: string, port: number): Socket {
  const error = refusedError({ address, port })
  return netConnect({
    host: 'refused.invalid',
    port,
    // Makes net.connect fail as usual, without a closed port
    lookup: (_host, _options, done) => done(error, '', 4),
  })
}
