/**
 * A slow, uneven or lossy link between two sockets.
 *
 * @module
 */
import type { Socket } from 'node:net'
import { checkFields, checkSome, numberFrom } from './named.js'
import { timers } from './timers.js'

/** Options of `link()`. Times are milliseconds of real time. */
export interface LinkOptions {
  /** Delay, each way */
  latency?: number
  /** Longest additional delay */
  jitter?: number
  /** Bytes a second, each way */
  bandwidth?: number
  /** 0 to 1: share that is lost, and arrives 200 ms later, by a retransmission */
  loss?: number
}

const RETRANSMISSION = 200

const LINK = {
  latency: numberFrom(0),
  jitter: numberFrom(0),
  bandwidth: numberFrom(1),
  loss: numberFrom(0, 1),
}

/** Throws a TypeError for wrong options. */
export function checkLink(options: LinkOptions): void {
  checkFields('link()', options, LINK)
  checkSome('link()', options, Object.keys(LINK))
}

export interface Shape {
  options: LinkOptions
  random: () => number
}

/** Connects two sockets by a link. */
export function shaped(outer: Socket, inner: Socket, shape: Shape): void {
  oneWay(outer, inner, shape)
  oneWay(inner, outer, shape)
}

function oneWay(from: Socket, to: Socket, { options, random }: Shape): void {
  const { latency = 0, jitter = 0, bandwidth, loss = 0 } = options
  let free = 0
  const queue: Array<{ at: number; act: () => void }> = []
  const pump = (): void => {
    const now = performance.now()
    while (queue[0] !== undefined && queue[0].at <= now) queue.shift()?.act()
    if (queue[0] !== undefined) timers.setTimeout(pump, Math.ceil(queue[0].at - now)).unref()
  }
  /** Runs `act` in its turn, after what came before it. */
  const inTurn = (bytes: number, act: () => void): void => {
    const now = performance.now()
    const lost = loss > 0 && random() < loss ? RETRANSMISSION : 0
    const sending = bandwidth === undefined ? 0 : (bytes / bandwidth) * 1000
    free = Math.max(free, now + latency + random() * jitter + lost) + sending
    queue.push({ at: free, act })
    if (queue.length === 1) timers.setTimeout(pump, Math.ceil(free - now)).unref()
  }
  from.on('data', (chunk: Buffer) => {
    inTurn(chunk.length, () => to.writable && to.write(chunk))
    if (bandwidth === undefined) return
    // A sender is at most a second ahead of the link
    from.pause()
    timers.setTimeout(() => from.resume(), Math.max(0, free - performance.now() - 1000)).unref()
  })
  from.once('end', () => inTurn(0, () => to.end()))
  from.once('error', () => to.resetAndDestroy())
  from.once('close', () => inTurn(0, () => to.destroy()))
}
