/**
 * The sockets that a part of a mail world has open.
 *
 * @module
 */
import { once } from 'node:events'
import type { Server, Socket } from 'node:net'

export class OpenSockets {
  readonly #sockets = new Map<Socket, Promise<void>>()
  #closed = false

  /** Keeps a socket until it is closed; destroys it at once after `close()`. */
  add(socket: Socket): void {
    const closed = new Promise<void>((resolve) => {
      socket.once('close', () => {
        this.#sockets.delete(socket)
        resolve()
      })
    })
    this.#sockets.set(socket, closed)
    if (this.#closed) socket.destroy()
  }

  /** Destroys every socket, and resolves when all of them are closed. */
  async close(): Promise<void> {
    this.#closed = true
    while (this.#sockets.size > 0) {
      const closed = [...this.#sockets.values()]
      for (const socket of this.#sockets.keys()) socket.destroy()
      await Promise.all(closed)
    }
  }
}

/** Closes a server and its connections. */
export async function closeServer(server: Server, sockets: OpenSockets): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  await Promise.all([closed, sockets.close()])
}
