/**
 * Ports on loopback of the hosts of a world, for any client.
 *
 * @module
 */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { WorldClock } from './clock.js'
import type { Reachable } from './endpoint.js'
import type { ListeningPort, SmartHostOptions } from './host-api.js'
import type { WorldLog } from './log.js'
import { closeServer, OpenSockets } from './open-sockets.js'

export interface PortSetup {
  host: Reachable
  /** The port of the host in the world */
  port: number
  options: SmartHostOptions
  log: WorldLog
  clock: WorldClock
  onClose: () => void
}

/** A port that is open. */
export class Port implements ListeningPort {
  readonly host = '127.0.0.1'
  readonly port: number
  readonly url: string
  readonly #setup: PortSetup
  readonly #server: Server
  readonly #sockets = new OpenSockets()
  #closing: Promise<void> | undefined

  private constructor(setup: PortSetup, server: Server) {
    this.#setup = setup
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    this.url = urlOf(setup, this.port)
    server.on('connection', (socket) => this.#accept(socket))
  }

  static async open(setup: PortSetup): Promise<Port> {
    const server = createServer({ noDelay: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    server.unref()
    return new Port(setup, server)
  }

  close(): Promise<void> {
    this.#closing ??= closeServer(this.#server, this.#sockets).then(() => this.#setup.onClose())
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #accept(socket: Socket): void {
    socket.unref()
    socket.on('error', () => undefined)
    this.#sockets.add(socket)
    const { host, port, log, clock } = this.#setup
    const { name, ipv4: address } = host
    const accept = host.reception({ address, port, real: true })
    const outcome = accept === undefined ? 'refused' : 'connected'
    log.add({ kind: 'dial', purpose: 'smtp', host: name, address, port, outcome, at: clock.now() })
    if (accept === undefined) socket.resetAndDestroy()
    else accept(socket)
  }
}

function urlOf({ options, port: usual }: PortSetup, port: number): string {
  const { secure = usual === 465 } = options
  const url = new URL(`${secure ? 'smtps' : 'smtp'}://127.0.0.1:${port}`)
  const [login] = [options.auth ?? []].flat()
  if (login !== undefined) {
    url.username = encodeURIComponent(login.user)
    url.password = encodeURIComponent(login.pass ?? login.accessToken ?? '')
  }
  return url.href.replace(/\/$/, '')
}
