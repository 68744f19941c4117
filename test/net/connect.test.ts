import { type EventEmitter, getEventListeners } from 'node:events'
import { createServer, Socket, connect as tcpConnect } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { MtaStsError } from '../../src/errors.js'
import {
  type Connect,
  ConnectError,
  type Connected,
  type ConnectOptions,
  type ConnectTarget,
  connectDirectly,
  connectFirst,
} from '../../src/net/connect.js'
import { openSocket, type Route, Servers, Wire } from '../tls/support.js'

const HOST = 'mx.example.com'
const servers = new Servers()
afterEach(() => {
  vi.useRealTimers()
  return servers.close()
})

const targetOf = (address: string): ConnectTarget => ({
  purpose: 'smtp',
  host: HOST,
  address,
  port: 25,
})

/** Addresses by their outcome, in the order of their keys. */
function run(
  routes: Record<string, Route>,
  options: Partial<ConnectOptions> = {},
): { wire: Wire; result: Promise<Connected> } {
  const wire = new Wire(routes)
  const targets = Object.keys(routes).map(targetOf)
  const result = connectFirst(targets, { connect: wire.connect, timeout: 20_000, ...options })
  return { wire, result }
}

/** The listeners that a socket had when it was created. */
function listenersOf(socket: EventEmitter): Record<string, number> {
  const events = ['connect', 'error', 'close', 'timeout']
  return Object.fromEntries(events.map((event) => [event, socket.listenerCount(event)]))
}

async function failureOf(result: Promise<unknown>): Promise<unknown> {
  return result.then(
    () => undefined,
    (error: unknown) => error,
  )
}

/** A socket that is connected already. */
async function openedTo(port: number): Promise<Socket> {
  const socket = tcpConnect(port, '127.0.0.1')
  await new Promise((resolve) => socket.once('connect', resolve))
  return socket
}

/** Waits until the settled promises have had their effects. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** A promise that the test settles. */
function byHand<T>() {
  let settle: { resolve(value: T): void; reject(error: unknown): void } | undefined
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  if (settle === undefined) throw new Error('Promises are not what they were')
  return { promise, ...settle }
}

describe('the result of a connect hook', () => {
  test('may be a promise of another library', async () => {
    const socket = await openedTo(await servers.tcp())
    const then = (done: (socket: Socket) => void) => done(socket)
    const thenable = Object.defineProperty({}, 'then', { value: then })
    const connect = () => thenable as unknown as Promise<Socket>
    const result = await connectFirst([targetOf('192.0.2.1')], { connect, timeout: 20_000 })
    expect(result.socket).toBe(socket)
    socket.destroy()
  })

  test('fails at once for a socket that has closed already', async () => {
    const socket = await openedTo(await servers.tcp())
    socket.destroy()
    await new Promise((resolve) => socket.once('close', resolve))
    const options = { connect: () => socket, timeout: 2 ** 31 - 1 }
    const error = await failureOf(connectFirst([targetOf('192.0.2.1')], options))
    expect(error).toBeInstanceOf(ConnectError)
    expect(String(error)).toContain('connection closed')
  })

  test('has no limit with an infinite timeout', async () => {
    const socket = await openedTo(await servers.tcp())
    const connect = () => new Promise<Socket>((resolve) => setTimeout(resolve, 20, socket))
    const options = { connect, timeout: Number.POSITIVE_INFINITY }
    expect((await connectFirst([targetOf('192.0.2.1')], options)).socket).toBe(socket)
    socket.destroy()
  })
})

describe('the first connection', () => {
  test('is used: the second is not started when the first answers', async () => {
    const port = await servers.tcp()
    const { wire, result } = run({ '192.0.2.1': port, '192.0.2.2': port })
    const { socket, target, remaining } = await result
    expect(target).toEqual(targetOf('192.0.2.1'))
    expect(remaining).toEqual([targetOf('192.0.2.2')])
    expect(wire.addresses).toEqual(['192.0.2.1'])
    expect(wire.sockets).toEqual([socket])
    expect([socket.readyState, socket.destroyed]).toEqual(['open', false])
    socket.destroy()
  })

  test('is the second one when the first fails', async () => {
    const port = await servers.tcp()
    const { wire, result } = run({ '192.0.2.1': 'refuse', '192.0.2.2': port, '192.0.2.3': port })
    const { socket, target, remaining } = await result
    expect(target.address).toBe('192.0.2.2')
    expect(remaining.map(({ address }) => address)).toEqual(['192.0.2.3'])
    expect(wire.addresses).toEqual(['192.0.2.1', '192.0.2.2'])
    await settled()
    expect(wire.left).toEqual([socket])
    socket.destroy()
  })

  test('is the second one, started after 250 ms; the first is destroyed', async () => {
    const port = await servers.tcp()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { wire, result } = run({ '192.0.2.1': 'hang', '192.0.2.2': port })
    await vi.advanceTimersByTimeAsync(249)
    expect(wire.addresses).toEqual(['192.0.2.1'])
    await vi.advanceTimersByTimeAsync(1)
    expect(wire.addresses).toEqual(['192.0.2.1', '192.0.2.2'])
    const { socket, target, remaining } = await result
    expect(target.address).toBe('192.0.2.2')
    // It did not fail: it may be worth another attempt
    expect(remaining.map(({ address }) => address)).toEqual(['192.0.2.1'])
    await settled()
    expect(wire.left).toEqual([socket])
    expect(vi.getTimerCount()).toBe(0)
    socket.destroy()
  })

  test('is used even if it comes late, and the second is destroyed', async () => {
    const port = await servers.tcp()
    const lookedUp: Array<() => void> = []
    const sockets: Socket[] = []
    const connect: Connect = ({ address }) => {
      const first = address === '192.0.2.1'
      const socket = first
        ? tcpConnect({
            host: 'late.invalid',
            port,
            lookup: (_host, _options, done) => {
              // Node asks for all addresses of a host
              lookedUp.push(() => done(null, [{ address: '127.0.0.1', family: 4 }]))
            },
          })
        : openSocket('hang')
      sockets.push(socket)
      if (!first) for (const proceed of lookedUp) proceed()
      return socket
    }
    const targets = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map(targetOf)
    const { socket, target, remaining } = await connectFirst(targets, { connect, timeout: 20_000 })
    expect(target.address).toBe('192.0.2.1')
    expect(remaining.map(({ address }) => address)).toEqual(['192.0.2.2', '192.0.2.3'])
    await settled()
    expect(sockets.filter(({ destroyed }) => !destroyed)).toEqual([socket])
    expect(sockets).toHaveLength(2)
    socket.destroy()
  })

  test('starts the next one at once after a failure while another stalls', async () => {
    const port = await servers.tcp()
    const { wire, result } = run({
      '192.0.2.1': 'hang',
      '192.0.2.2': 'refuse',
      '192.0.2.3': 'refuse',
      '192.0.2.4': port,
      '192.0.2.5': port,
    })
    const { socket, target, remaining } = await result
    expect(target.address).toBe('192.0.2.4')
    expect(remaining.map(({ address }) => address)).toEqual(['192.0.2.1', '192.0.2.5'])
    expect(wire.addresses).toEqual(['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'])
    await settled()
    expect(wire.left).toEqual([socket])
    socket.destroy()
  })

  test('ends all further attempts', async () => {
    const port = await servers.tcp()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { wire, result } = run({
      '192.0.2.1': 'hang',
      '192.0.2.2': port,
      '192.0.2.3': port,
      '192.0.2.4': port,
    })
    await vi.advanceTimersByTimeAsync(250)
    const { socket } = await result
    await vi.advanceTimersByTimeAsync(60_000)
    expect(wire.addresses).toEqual(['192.0.2.1', '192.0.2.2'])
    expect(wire.left).toEqual([socket])
    expect(vi.getTimerCount()).toBe(0)
    socket.destroy()
  })

  test('is returned in working order, without a listener', async () => {
    const port = await servers.tcp((socket) => socket.pipe(socket))
    const { result } = run({ '192.0.2.1': port })
    const { socket } = await result
    const untouched = await openedTo(port)
    expect(listenersOf(socket)).toEqual(listenersOf(untouched))
    const echoed = new Promise((resolve) => socket.once('data', resolve))
    socket.write('hello')
    expect(String(await echoed)).toBe('hello')
    socket.destroy()
    untouched.destroy()
  })
})

describe('no successful connection', () => {
  test('fails with the errors of all addresses, in the order in which they failed', async () => {
    const { wire, result } = run({ '192.0.2.1': 'refuse', '2001:db8::1': 'refuse' })
    const error = await failureOf(result)
    expect(error).toBeInstanceOf(ConnectError)
    expect(error).toBeInstanceOf(MtaStsError)
    expect(error).toMatchObject({
      name: 'ConnectError',
      code: 'ECONNECTION',
      permanent: false,
      message:
        `Could not connect to ${HOST} (192.0.2.1 port 25: connect ECONNREFUSED; ` +
        '2001:db8::1 port 25: connect ECONNREFUSED)',
      cause: { code: 'ECONNREFUSED' },
      errors: [
        { target: targetOf('192.0.2.1'), error: { code: 'ECONNREFUSED' } },
        { target: targetOf('2001:db8::1'), error: { code: 'ECONNREFUSED' } },
      ],
    })
    expect(wire.left).toEqual([])
  })

  test('gives each address its own time', async () => {
    const { wire, result } = run({ '192.0.2.1': 'hang', '192.0.2.2': 'hang' }, { timeout: 30 })
    expect(await failureOf(result)).toMatchObject({
      code: 'ECONNECTION',
      message: expect.stringContaining('192.0.2.2 port 25: no connection within 30 ms'),
      errors: [{ error: { code: 'ETIMEDOUT' } }, { error: { code: 'ETIMEDOUT' } }],
    })
    expect(wire.left).toEqual([])
    expect(wire.dials).toHaveLength(2)
  })

  test('fails for a connection closed before it was established', async () => {
    const connect: Connect = () => {
      const socket = openSocket('hang')
      setImmediate(() => socket.destroy())
      return socket
    }
    const result = connectFirst([targetOf('192.0.2.1')], { connect, timeout: 20_000 })
    expect(await failureOf(result)).toMatchObject({
      errors: [{ error: { message: 'connection closed' } }],
    })
  })

  test('leaves no uncaught error for a later failure', async () => {
    const { wire, result } = run({ '192.0.2.1': 'hang' }, { timeout: 20 })
    expect(await failureOf(result)).toBeInstanceOf(ConnectError)
    const [socket] = wire.sockets
    expect(() => socket?.emit('error', new Error('late'))).not.toThrow()
  })

  test('fails without addresses', async () => {
    expect(await failureOf(run({}).result)).toBeInstanceOf(ConnectError)
  })
})

// A connect that fails at once (ENETUNREACH) reports in the next tick, before any promise: without
// a listener by then, the process ends
describe('an error in the next tick is handled', () => {
  /** The number of error listeners of each socket in the tick after it was opened. */
  async function listening(routes: Record<string, Route>): Promise<number[]> {
    const wire = new Wire(routes)
    const counts: number[] = []
    const connect: Connect = (target) => {
      const socket = wire.connect(target)
      process.nextTick(() => counts.push(socket.listenerCount('error')))
      return socket
    }
    const targets = Object.keys(routes).map(targetOf)
    const { socket } = await connectFirst(targets, { connect, timeout: 20_000 })
    socket.destroy()
    return counts
  }

  test('on the first connection, started by the caller', async () => {
    const port = await servers.tcp()
    // From the event loop, not from within a promise
    const counts = await new Promise<number[]>((resolve) => {
      setImmediate(() => resolve(listening({ '192.0.2.1': port })))
    })
    expect(counts).toEqual([1])
  })

  test('on the second connection, started because the first stalls', async () => {
    const port = await servers.tcp()
    expect(await listening({ '192.0.2.1': 'hang', '192.0.2.2': port })).toEqual([1, 1])
  })
})

describe('the signal', () => {
  const abortListeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length

  test('ends the current attempt, with its reason', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const { wire, result } = run({ '192.0.2.1': 'hang', '192.0.2.2': 'hang' }, { signal })
    const reason = new Error('enough')
    controller.abort(reason)
    expect(await failureOf(result)).toBe(reason)
    expect(wire.addresses).toEqual(['192.0.2.1'])
    await settled()
    expect(wire.left).toEqual([])
    expect(abortListeners(signal)).toBe(0)
  })

  test('ends all current attempts', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const sockets: Socket[] = []
    const connect: Connect = (target) => {
      const socket = openSocket('hang')
      sockets.push(socket)
      if (target.address === '192.0.2.2') queueMicrotask(() => controller.abort(new Error('now')))
      return socket
    }
    const targets = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map(targetOf)
    const error = await failureOf(connectFirst(targets, { connect, timeout: 20_000, signal }))
    expect(error).toMatchObject({ message: 'now' })
    await settled()
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true])
    expect(abortListeners(signal)).toBe(0)
  })

  test('that was aborted before: no connection is opened', async () => {
    const reason = new Error('before')
    const { wire, result } = run({ '192.0.2.1': 'hang' }, { signal: AbortSignal.abort(reason) })
    expect(await failureOf(result)).toBe(reason)
    expect(wire.dials).toEqual([])
  })

  test('has no listener left after a connection', async () => {
    const port = await servers.tcp()
    const { signal } = new AbortController()
    const { wire, result } = run(
      { '192.0.2.1': 'refuse', '192.0.2.2': 'hang', '192.0.2.3': port },
      { signal },
    )
    const { socket } = await result
    expect(wire.dials).toHaveLength(3)
    expect(abortListeners(signal)).toBe(0)
    socket.destroy()
  })

  test('has no listener left after a failure', async () => {
    const { signal } = new AbortController()
    const { result } = run({ '192.0.2.1': 'refuse', '192.0.2.2': 'hang' }, { signal, timeout: 30 })
    expect(await failureOf(result)).toBeInstanceOf(ConnectError)
    expect(abortListeners(signal)).toBe(0)
  })

  test('does not affect an established connection', async () => {
    const port = await servers.tcp()
    const controller = new AbortController()
    const { result } = run({ '192.0.2.1': port }, { signal: controller.signal })
    const { socket } = await result
    controller.abort(new Error('later'))
    expect(socket.destroyed).toBe(false)
    socket.destroy()
  })
})

describe('a connect hook', () => {
  test('gets the purpose, for every address', async () => {
    const { wire, result } = run({ '192.0.2.1': 'refuse', '2001:db8::1': 'refuse' })
    expect(await failureOf(result)).toBeInstanceOf(ConnectError)
    expect(wire.dials).toEqual([targetOf('192.0.2.1'), targetOf('2001:db8::1')])
  })

  test('that throws: the next address is used', async () => {
    const port = await servers.tcp()
    const error = new Error('no proxy today')
    const connect: Connect = ({ address }) => {
      if (address === '192.0.2.1') throw error
      return openSocket(port)
    }
    const targets = ['192.0.2.1', '192.0.2.2'].map(targetOf)
    const { socket, remaining } = await connectFirst(targets, { connect, timeout: 20_000 })
    expect(remaining).toEqual([])
    socket.destroy()

    const [only] = targets
    const result = connectFirst(only ? [only] : [], { connect, timeout: 20_000 })
    expect(await failureOf(result)).toMatchObject({ code: 'ECONNECTION', cause: error })
  })

  test('that rejects: the next address is used', async () => {
    const port = await servers.tcp()
    const connect: Connect = async ({ address }) => {
      if (address === '192.0.2.1') throw new Error('SOCKS: host unreachable')
      return openSocket(port)
    }
    const targets = ['192.0.2.1', '192.0.2.2'].map(targetOf)
    const { socket, target } = await connectFirst(targets, { connect, timeout: 20_000 })
    expect(target.address).toBe('192.0.2.2')
    socket.destroy()
  })

  test.each<[name: string, thrown: unknown]>([
    ['a string', 'no'],
    ['undefined', undefined],
    ['null', null],
  ])('that throws anything but an error: %s', async (_, thrown) => {
    const connect: Connect = () => {
      throw thrown
    }
    const result = connectFirst([targetOf('192.0.2.1')], { connect, timeout: 20_000 })
    expect(await failureOf(result)).toBeInstanceOf(ConnectError)
  })

  test.each<[name: string, returned: unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a port', 25],
    ['an object', {}],
  ])('that returns anything but a socket: %s', async (_, returned) => {
    vi.useFakeTimers()
    const connect = () => returned as Socket
    const result = connectFirst([targetOf('192.0.2.1')], { connect, timeout: 20_000 })
    expect(await failureOf(result)).toBeInstanceOf(ConnectError)
    // A timer that was left over would fire later, and throw uncaught
    expect(vi.getTimerCount()).toBe(0)
  })

  test('that returns a promise of a connecting socket', async () => {
    const port = await servers.tcp()
    const connect: Connect = async () => openSocket(port)
    const { socket } = await connectFirst([targetOf('192.0.2.1')], { connect, timeout: 20_000 })
    expect(socket.readyState).toBe('open')
    socket.destroy()
  })

  test('that returns a connected socket, or a promise of one', async () => {
    const port = await servers.tcp()
    const opened = await openedTo(port)
    for (const connect of [() => opened, async () => opened]) {
      const { socket } = await connectFirst([targetOf('192.0.2.1')], { connect, timeout: 20_000 })
      expect(socket).toBe(opened)
    }
    expect(listenersOf(opened)).toEqual(listenersOf(await openedTo(port)))
    opened.destroy()
  })

  test('whose promise stalls: the next address is tried in parallel', async () => {
    const port = await servers.tcp()
    const connect: Connect = ({ address }) =>
      address === '192.0.2.1' ? new Promise<Socket>(() => {}) : openSocket(port)
    const targets = ['192.0.2.1', '192.0.2.2'].map(targetOf)
    const { socket, target } = await connectFirst(targets, { connect, timeout: 20_000 })
    expect(target.address).toBe('192.0.2.2')
    socket.destroy()
  })

  test('whose promise never settles: the time of the address ends', {
    timeout: 5000,
  }, async () => {
    const connect: Connect = () => new Promise<Socket>(() => {})
    const result = connectFirst([targetOf('192.0.2.1')], { connect, timeout: 30 })
    expect(await failureOf(result)).toMatchObject({
      code: 'ECONNECTION',
      errors: [{ error: { code: 'ETIMEDOUT' } }],
    })
  })

  test('whose promise never settles: the signal ends it', async () => {
    const controller = new AbortController()
    const connect: Connect = () => new Promise<Socket>(() => {})
    const result = connectFirst([targetOf('192.0.2.1')], {
      connect,
      timeout: 60_000,
      signal: controller.signal,
    })
    const reason = new Error('enough')
    controller.abort(reason)
    expect(await failureOf(result)).toBe(reason)
  })

  describe('that resolves too late leaves no socket', () => {
    const late = async (connected: 'connected' | 'connecting', port: number) =>
      connected === 'connected' ? openedTo(port) : openSocket(port)

    test.each(['connected', 'connecting'] as const)(
      'after another one was used, %s',
      async (state) => {
        const port = await servers.tcp()
        const { promise, resolve } = byHand<Socket>()
        const connect: Connect = ({ address }) =>
          address === '192.0.2.1' ? promise : openSocket(port)
        const targets = ['192.0.2.1', '192.0.2.2'].map(targetOf)
        const { socket, target } = await connectFirst(targets, { connect, timeout: 20_000 })
        expect(target.address).toBe('192.0.2.2')
        const loser = await late(state, port)
        resolve(loser)
        await settled()
        expect([loser.destroyed, socket.destroyed]).toEqual([true, false])
        socket.destroy()
        loser.destroy()
      },
    )

    test.each(['connected', 'connecting'] as const)('after an abort, %s', async (state) => {
      const port = await servers.tcp()
      const { promise, resolve } = byHand<Socket>()
      const controller = new AbortController()
      const result = connectFirst([targetOf('192.0.2.1')], {
        connect: () => promise,
        timeout: 20_000,
        signal: controller.signal,
      })
      const failure = failureOf(result)
      const reason = new Error('enough')
      controller.abort(reason)
      const loser = await late(state, port)
      resolve(loser)
      expect(await failure).toBe(reason)
      await settled()
      expect(loser.destroyed).toBe(true)
      loser.destroy()
    })
  })
})

describe('connectDirectly', () => {
  test('connects to the address and port, without a lookup of the host', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const target = { ...targetOf('127.0.0.1'), host: 'does-not-exist.invalid', port }
    const { socket } = await connectFirst([target], { connect: connectDirectly, timeout: 20_000 })
    expect([socket.remoteAddress, socket.remotePort]).toEqual(['127.0.0.1', port])
    socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
})

test('fails with the error of a socket that connect() destroyed before it returned it', async () => {
  const error = Object.assign(new Error('no route'), { code: 'ENETUNREACH' })
  const connect: Connect = () => new Socket().destroy(error)
  const result = connectFirst([targetOf('192.0.2.1')], { connect, timeout: 20_000 })
  expect(await failureOf(result)).toMatchObject({ errors: [{ error }] })
})
