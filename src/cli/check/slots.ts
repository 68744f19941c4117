/**
 * Bounds on the number of tasks and sockets at a time.
 *
 * @module
 */
import type { Connect } from '../../net/connect.js'
import { Gate } from '../../net/gate.js'

/**
 * Returns the same `connect`, with at most so many sockets at a time. A socket counts until it is
 * closed, which is a moment after the task that it was for: where tasks are bounded by the same
 * number, nothing waits for longer than that moment.
 */
export function boundedConnect(connect: Connect, count: number): Connect {
  const places = new Gate(count)
  return async (target) => {
    await places.take()
    try {
      const socket = await connect(target)
      if (socket.destroyed && socket.closed) places.release()
      else socket.once('close', () => places.release())
      return socket
    } catch (error) {
      places.release()
      throw error
    }
  }
}
