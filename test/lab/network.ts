/**
 * Two connected network namespaces: one for the sender, one for all servers, without a route to the
 * outside.
 *
 * @module
 */
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Daemon, endProcess, pauseSync, run, runSync, until } from './shell.js'

/** Addresses of the documentation ranges (RFC 5737, RFC 3849). */
export const ADDRESSES = {
  sender: { ipv4: '198.51.100.2', ipv6: '2001:db8::2' },
  bind: '198.51.100.1',
  /** Served by BIND too, which refuses queries there */
  lame: '198.51.100.3',
  unbound: '198.51.100.53',
  /** The name server of the signed zones */
  signed: '198.51.100.4',
  /** No server listens there */
  dead: '198.51.100.99',
  policyHosts: { ipv4: '198.51.100.80', ipv6: '2001:db8::80' },
  /** Of the policy hosts that go down */
  mortalPolicyHosts: '198.51.100.81',
} as const

const RANGES = ['198.51.100.0/24', '203.0.113.0/24', '2001:db8::/32']

/** Returns the address of the n-th MX host, from 1 on. */
export function mxAddress(n: number): { ipv4: string; ipv6: string } {
  if (n > 254) throw new RangeError('203.0.113.0/24 has no more addresses')
  return { ipv4: `203.0.113.${n}`, ipv6: `2001:db8:25::${n.toString(16)}` }
}

const PREFIX = 'mtasts-'
/** The folder that `ip netns exec` mounts over /etc, by namespace. */
export const NETNS_ETC = '/etc/netns'

export class Namespace {
  readonly name: string

  constructor(role: string) {
    this.name = `${PREFIX}${role}-${process.pid}`
  }

  /** Returns a command line that runs another one in this namespace. */
  command(...line: string[]): string[] {
    return ['ip', 'netns', 'exec', this.name, ...line]
  }

  run(command: string, args: readonly string[], input?: string): Promise<string> {
    const [first = '', ...rest] = this.command(command, ...args)
    return run(first, rest, input === undefined ? {} : { input })
  }

  /** Waits until `server` listens on a TCP port; throws if it ends. */
  async listening(address: string, port: number, server: Daemon): Promise<void> {
    await until(`a server listens at ${address} port ${port}`, () => {
      server.check()
      return this.#isListening(address, port)
    })
  }

  /** Waits until no server listens. */
  async silent(address: string, port: number): Promise<void> {
    await until(`no server listens at ${address} port ${port}`, async () => {
      return !(await this.#isListening(address, port))
    })
  }

  async #isListening(address: string, port: number): Promise<boolean> {
    const local = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
    const sockets = await this.run('ss', ['-Hltn'])
    return sockets.split('\n').some((line) => line.split(/\s+/)[3] === local)
  }
}

export interface Network {
  sender: Namespace
  servers: Namespace
}

export async function createNetwork(mxHosts: number): Promise<Network> {
  const sender = new Namespace('sender')
  const servers = new Namespace('servers')
  for (const { name } of [sender, servers]) {
    await run('ip', ['netns', 'add', name])
    // The folder that `ip netns exec` mounts over /etc
    await mkdir(join(NETNS_ETC, name), { recursive: true })
    await writeFile(
      join(NETNS_ETC, name, 'resolv.conf'),
      `nameserver ${ADDRESSES.unbound}\noptions timeout:2 attempts:2\n`,
    )
    await run('ip', ['-n', name, 'link', 'set', 'lo', 'up'])
  }
  const cable = ['link', 'add', 'lab0', 'netns', sender.name, 'type', 'veth']
  await run('ip', [...cable, 'peer', 'name', 'lab0', 'netns', servers.name])
  const { sender: own, policyHosts, ...single } = ADDRESSES
  await configure(sender, [own.ipv4, own.ipv6])
  const mx = Array.from({ length: mxHosts }, (_, index) => mxAddress(index + 1))
  await configure(servers, [
    ...Object.values(single),
    policyHosts.ipv4,
    policyHosts.ipv6,
    ...mx.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]),
  ])
  return { sender, servers }
}

/** Addresses without a subnet: both ends reach all of the lab's ranges. */
async function configure({ name }: Namespace, addresses: readonly string[]): Promise<void> {
  const commands = [
    'link set lab0 up',
    ...addresses.map((address) => {
      const ipv6 = address.includes(':')
      return `addr add ${address}/${ipv6 ? 128 : 32} dev lab0${ipv6 ? ' nodad' : ''}`
    }),
    ...RANGES.map((range) => `route add ${range} dev lab0`),
  ]
  await run('ip', ['-n', name, '-batch', '-'], { input: `${commands.join('\n')}\n` })
}

/**
 * Ends all processes in the namespaces of a process, and removes them, synchronously: no other code
 * can interfere.
 */
export function removeNetwork(owner = process.pid): void {
  const known = namespaces()
  for (const role of ['sender', 'servers']) {
    const name = `${PREFIX}${role}-${owner}`
    if (known.includes(name)) removeNamespace(name)
    rmSync(join(NETNS_ETC, name), { recursive: true, force: true })
  }
  // Only if it is empty: it may belong to another program
  if (existsSync(NETNS_ETC) && readdirSync(NETNS_ETC).length === 0) rmdirSync(NETNS_ETC)
}

function removeNamespace(name: string): void {
  for (;;) {
    const pids = runSync('ip', ['netns', 'pids', name]).split('\n').filter(Boolean)
    if (pids.length === 0) break
    for (const pid of pids) endProcess(Number(pid))
    pauseSync()
  }
  runSync('ip', ['netns', 'delete', name])
}

/** Removes the leftovers of runs that were killed. */
export function removeStaleNetworks(): void {
  const etc = existsSync(NETNS_ETC) ? readdirSync(NETNS_ETC) : []
  const owners = [...namespaces(), ...etc].flatMap((name) => {
    const owner = new RegExp(`^${PREFIX}(?:sender|servers)-(\\d+)$`).exec(name)?.[1]
    return owner === undefined ? [] : [Number(owner)]
  })
  for (const owner of new Set(owners)) if (!isAlive(owner)) removeNetwork(owner)
}

function namespaces(): string[] {
  const list = runSync('ip', ['netns', 'list'])
  return list.split('\n').map((line) => line.split(' ')[0] ?? '')
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
