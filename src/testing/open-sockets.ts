/**
 * The sockets that a part of a mail world has open.
 *
 * @module
 */
import { once } from 'node:events'
import type { Server, Socket } from 'node:net'

export class OpenSockets {
  readonly #sockets = new Set<Socket>()
  #closed = false

  /** Keeps a socket until it is closed; destroys it at once after `close()`. */
  add(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    if (this.#closed) socket.destroy()
  }

  /** Destroys every socket. One under a TLS socket may not emit `close`: it is not waited for. */
  close(): void {
    this.#closed = true
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** Closes a server and its connections. */
export async function closeServer(server: Server, sockets: OpenSockets): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  sockets.close()
  await closed
}
