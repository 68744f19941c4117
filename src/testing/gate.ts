/**
 * The entrance of other processes to a mail world: they ask for a connection, connect to a port,
 * and claim their connection.
 *
 * @module
 */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { WorldTarget } from './api.js'
import type { WorldClock } from './clock.js'
import type { Accept } from './loopback.js'
import { closeServer, OpenSockets } from './open-sockets.js'

/** The contents of `MTA_STS_WORLD`. */
export interface Invitation {
  /** Of the world's DNS server */
  dns: number
  /** Port for questions, one JSON object a line */
  control: number
  /** Port for connections */
  data: number
  /** Name in EHLO */
  name: string
  /** The root of the world, in a file */
  ca: string
  /** Milliseconds that the world is ahead of real time when the process starts */
  ahead: number
}

/** A question of a process, with its number. */
export interface Question {
  id: number
  dial?: WorldTarget
  claim?: { port: number; dialled: number }
}

/** An answer, or the time of the world, which needs no question. */
export interface Reply {
  id?: number
  outcome?: 'connected' | 'refused'
  ahead?: number
}

export interface GateSetup {
  clock: WorldClock
  dial: (target: WorldTarget) => Accept | undefined
}

export class Gate {
  readonly #setup: GateSetup
  readonly #control: Server
  readonly #data: Server
  readonly #sockets = new OpenSockets()
  /** By the client's port: sockets that arrived, and claims that came first */
  readonly #arrived = new Map<number, Socket>()
  readonly #claimed = new Map<number, Accept>()

  private constructor(setup: GateSetup, control: Server, data: Server) {
    this.#setup = setup
    this.#control = control
    this.#data = data
    control.on('connection', (socket) => this.#serve(this.#kept(socket)))
    data.on('connection', (socket) => this.#arrive(this.#kept(socket)))
  }

  static async open(setup: GateSetup): Promise<Gate> {
    const control = createServer({ noDelay: true })
    const data = createServer({ noDelay: true, pauseOnConnect: true })
    for (const server of [control, data]) {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      server.unref()
    }
    return new Gate(setup, control, data)
  }

  get ports(): Pick<Invitation, 'control' | 'data'> {
    return { control: portOf(this.#control), data: portOf(this.#data) }
  }

  async close(): Promise<void> {
    const servers = [this.#control, this.#data]
    await Promise.all(servers.map((server) => closeServer(server, this.#sockets)))
  }

  #kept(socket: Socket): Socket {
    socket.unref()
    socket.on('error', () => undefined)
    this.#sockets.add(socket)
    return socket
  }

  #serve(socket: Socket): void {
    const say = (reply: Reply): boolean => socket.write(`${JSON.stringify(reply)}\n`)
    const dialled = new Map<number, Accept>()
    const { clock } = this.#setup
    const tellTime = (): boolean => say({ ahead: clock.ahead })
    socket.once('close', clock.onChange(tellTime))
    tellTime()
    createInterface({ input: socket }).on('line', (line) => {
      const { id, dial, claim }: Question = JSON.parse(line)
      if (dial !== undefined) {
        const accept = this.#setup.dial(dial)
        if (accept !== undefined) dialled.set(id, accept)
        say({ id, outcome: accept === undefined ? 'refused' : 'connected' })
      } else if (claim !== undefined) {
        const accept = dialled.get(claim.dialled)
        dialled.delete(claim.dialled)
        if (accept !== undefined) this.#claim(claim.port, accept)
      }
    })
  }

  #claim(port: number, accept: Accept): void {
    const socket = this.#arrived.get(port)
    this.#arrived.delete(port)
    if (socket === undefined) this.#claimed.set(port, accept)
    else this.#hand(socket, accept)
  }

  #arrive(socket: Socket): void {
    const port = socket.remotePort ?? 0
    const accept = this.#claimed.get(port)
    this.#claimed.delete(port)
    if (accept !== undefined) {
      this.#hand(socket, accept)
      return
    }
    this.#arrived.set(port, socket)
    socket.once('close', () => this.#arrived.delete(port))
  }

  #hand(socket: Socket, accept: Accept): void {
    accept(socket)
    socket.resume()
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}
