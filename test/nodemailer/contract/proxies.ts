/**
 * An HTTP proxy and a SOCKS5 proxy, each in front of one server, and a trap: the address that a program
 * is configured with, to which only a proxy may lead.
 *
 * @module
 */
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Servers of a case, and what was asked of them. */
export class Proxies {
  /** Destinations that were asked for, in order */
  readonly asked: string[] = []
  /** Connections that went round the proxy */
  direct = 0
  /** Whether the HTTP proxy refuses */
  refuses = false
  /** The server behind the proxies */
  readonly #target: number
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()

  constructor(target: number) {
    this.#target = target
  }

  /** Returns the port of a server that nobody may connect to. */
  trap(): Promise<number> {
    const server = createServer((socket) => {
      this.direct++
      socket.destroy()
    })
    return this.#listen(server)
  }

  async http(): Promise<string> {
    const server = createHttpServer()
    server.on('connect', (request, socket: Socket) => {
      this.#keep(socket)
      this.asked.push(String(request.url))
      if (this.refuses) {
        socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
        return
      }
      const upstream = this.#upstream(() => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
        upstream.pipe(socket).pipe(upstream)
      })
    })
    return `http://127.0.0.1:${await this.#listen(server)}`
  }

  /** A SOCKS5 proxy without a login (RFC 1928), for destinations by name. */
  async socks(): Promise<string> {
    const server = createServer((socket) => {
      this.#keep(socket)
      socket.once('data', () => {
        socket.write(Buffer.from([5, 0]))
        socket.once('data', (request) => {
          const name = request.subarray(5, -2).toString()
          this.asked.push(`${name}:${request.readUInt16BE(request.length - 2)}`)
          const upstream = this.#upstream(() => {
            socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]))
            upstream.pipe(socket).pipe(upstream)
          })
        })
      })
    })
    return `socks5://127.0.0.1:${await this.#listen(server)}`
  }

  /** Connects to the server behind the proxies; for handlers of a program's own. */
  through(destination: string, onConnect: (socket: Socket) => void): void {
    this.asked.push(destination)
    const socket = this.#upstream(() => onConnect(socket))
  }

  /** Resets every connection, on both sides of the proxies. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
    this.#sockets.clear()
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    for (const server of this.#servers) await new Promise((resolve) => server.close(resolve))
  }

  #upstream(onConnect: () => void): Socket {
    return this.#keep(connect(this.#target, 'localhost', onConnect))
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket)
    return socket.on('error', () => {})
  }

  async #listen(server: Server): Promise<number> {
    this.#servers.push(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
}

interface SocksOptions {
  proxy: { ipaddress: string; port: number }
  destination: { host: string; port: number }
}

/** The part of the package `socks` that Nodemailer uses, as `proxy_socks_module`. */
export const SOCKS = {
  SocksClient: {
    createConnection(
      { proxy, destination }: SocksOptions,
      done: (error: Error | null, info?: { socket: Socket }) => void,
    ): void {
      const socket = connect(proxy.port, proxy.ipaddress, () => {
        socket.write(Buffer.from([5, 1, 0]))
        socket.once('data', () => {
          const name = Buffer.from(destination.host)
          const port = Buffer.alloc(2)
          port.writeUInt16BE(Number(destination.port))
          socket.write(Buffer.concat([Buffer.from([5, 1, 0, 3, name.length]), name, port]))
          socket.once('data', () => {
            socket.pause()
            done(null, { socket })
          })
        })
      })
      socket.once('error', done)
    },
  },
}
