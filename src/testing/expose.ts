/**
 * The real ports of a mail world: every MX host at its own address on port 25, every policy host on
 * port 443, the DNS server at 127.0.0.1 port 53. For unchanged programs in the same network
 * namespace.
 *
 * @module
 */
import { execFile } from 'node:child_process'
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { promisify } from 'node:util'
import type { ExposedWorld, WorldTarget } from './api.js'
import { closeServer, OpenSockets } from './open-sockets.js'
import { checkRuntime } from './runtime-check.js'

/** The parts of a world that the ports lead to. */
export interface ExposeSetup {
  /** Connects to an address and port of the world */
  connect: (target: WorldTarget) => Socket
  /** The port of the world's DNS server, on 127.0.0.1 */
  dnsPort: number
}

const PORTS = [
  { port: 25, purpose: 'smtp' },
  { port: 443, purpose: 'policy' },
  { port: 465, purpose: 'smtp' },
  { port: 587, purpose: 'smtp' },
] as const

const DNS_PORT = 53
const LOOPBACK = '127.0.0.1'

/** The documentation ranges that worlds take their addresses from (RFC 5737, RFC 3849) */
const RANGES = ['192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24', '2001:db8::/32'] as const
/** One address of the ranges: whether this one is local stands for all of them */
const SAMPLE = '192.0.2.1'

/** A DNS client that got no answer in this time asks again from another port, in milliseconds */
const QUERY_TIMEOUT = 10_000

/**
 * @throws Error that names the commands to run, where the addresses of the world are not local
 */
export async function exposeWorld(setup: ExposeSetup): Promise<ExposedWorld> {
  await makeAddressesLocal()
  await checkRuntime()
  const opened: Array<() => Promise<void>> = []
  let closing: Promise<unknown> | undefined
  const close = async () => {
    closing ??= Promise.all(opened.map((end) => end()))
    await closing
  }
  try {
    for (const { port, purpose } of PORTS) {
      const far = (near: Socket) =>
        setup.connect({ purpose, host: '', address: plainAddress(near.localAddress), port })
      opened.push((await bridge({ port }, far)).close)
    }
    const dns = () => netConnect({ host: LOOPBACK, port: setup.dnsPort })
    opened.push((await bridge({ port: DNS_PORT, host: LOOPBACK }, dns)).close)
    opened.push(await relayDatagrams(setup.dnsPort))
  } catch (error) {
    await close()
    throw error
  }
  return { dns: LOOPBACK, close, [Symbol.asyncDispose]: close }
}

/** Listens on a port and joins each connection to the socket that `open` returns. */
export async function bridge(
  place: { port: number; host?: string },
  open: (near: Socket) => Socket,
): Promise<{ server: Server; close: () => Promise<void> }> {
  const sockets = new OpenSockets()
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
    const far = open(near)
    sockets.add(near)
    // One that was paused for a slow reader would never see its end
    sockets.add(far)
    join(near, far)
  })
  server.listen(place)
  await listening(server)
  return { server, close: () => closeServer(server, sockets) }
}

/** Joins two sockets: the end of one ends the other, an error of one resets the other. */
function join(near: Socket, far: Socket): void {
  for (const [one, other] of [
    [near, far],
    [far, near],
  ] as const) {
    one.on('error', () => other.resetAndDestroy())
    one.once('close', () => other.destroySoon())
    one.pipe(other)
  }
}

/** Relays datagrams between port 53 and the DNS server, from a port of its own for each query. */
async function relayDatagrams(dnsPort: number): Promise<() => Promise<void>> {
  const open = new Set<UdpSocket>()
  const server = createSocket('udp4')
  server.on('message', (query, client) => {
    const upstream = createSocket('udp4')
    open.add(upstream)
    const timer = setTimeout(() => upstream.close(), QUERY_TIMEOUT)
    timer.unref()
    upstream.once('close', () => {
      clearTimeout(timer)
      open.delete(upstream)
    })
    upstream.on('error', () => undefined)
    upstream.once('message', (answer) => {
      upstream.close()
      if (!closing) server.send(answer, client.port, client.address, () => undefined)
    })
    upstream.send(query, dnsPort, LOOPBACK)
  })
  let closing = false
  server.bind(DNS_PORT, LOOPBACK)
  await listening(server)
  return async () => {
    closing = true
    for (const socket of open) socket.close()
    const closed = once(server, 'close')
    server.close()
    await closed
  }
}

async function listening(server: Server | UdpSocket): Promise<void> {
  try {
    await once(server, 'listening')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`The mail world could not be exposed: ${why}. ${ADVICE}`, { cause })
  }
}

const ADVICE =
  'world.expose() belongs into a network namespace of its own, as root: unshare --net node program.js'

/** In an empty namespace, adds routes that make every address of a world local. */
async function makeAddressesLocal(): Promise<void> {
  if (await isLocal(SAMPLE)) return
  const commands = [
    ['link', 'set', 'lo', 'up'],
    ...RANGES.map((range) => ['route', 'replace', 'local', range, 'dev', 'lo']),
  ]
  // In a namespace with other networks, these routes could cut off their hosts
  const others = Object.keys(networkInterfaces()).filter((name) => name !== 'lo')
  if (others.length > 0) {
    const list = commands.map((args) => `ip ${args.join(' ')}`).join('; ')
    throw new Error(
      `The mail world could not be exposed: its addresses are not local here, and there are other network interfaces (${others.join(', ')}). ${ADVICE}. If these routes are what you want here, run: ${list}`,
    )
  }
  for (const args of commands) {
    await promisify(execFile)('ip', args).catch((cause) => {
      // A kernel without IPv6 has no use for its route
      if (args.includes('2001:db8::/32')) return
      throw new Error(
        `The mail world could not be exposed: "ip ${args.join(' ')}" failed (${cause.message.trim()}). ${ADVICE}`,
        { cause },
      )
    })
  }
}

/** Returns true where a socket can be bound to the address and loopback is up. */
async function isLocal(address: string): Promise<boolean> {
  if (networkInterfaces().lo === undefined) return false
  const socket = createSocket('udp4')
  return new Promise((resolve) => {
    socket.once('error', () => {
      socket.close()
      resolve(false)
    })
    socket.bind({ port: 0, address }, () => {
      socket.close()
      resolve(true)
    })
  })
}

/** An IPv4 address without the prefix that a socket of both families gives it. */
function plainAddress(address = ''): string {
  return address.replace(/^::ffff:(?=[\d.]+$)/i, '')
}
