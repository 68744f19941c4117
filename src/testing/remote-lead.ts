/**
 * Puts a whole process into a mail world: its DNS, its connections, its date.
 *
 * @module
 */
import dns, { promises as dnsPromises } from 'node:dns'
import { syncBuiltinESMExports } from 'node:module'
import net, { isIP } from 'node:net'
import type { RemoteLink } from './remote-link.js'
import { worldResolver } from './resolver.js'

/** Addresses of hosts of a world (RFC 5737, RFC 3849). */
const ADDRESS = /^(?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d+$|^2001:0?db8:/i

/** Keeps the process in the world until it ends. */
export function lead(link: RemoteLink): void {
  leadResolvers(`127.0.0.1:${link.invitation.dns}`)
  leadConnections(link)
  leadDate(link)
  syncBuiltinESMExports()
}

function leadResolvers(server: string): void {
  dns.setServers([server])
  dns.Resolver = class extends dns.Resolver {
    constructor(...options: ConstructorParameters<typeof dns.Resolver>) {
      super(...options)
      this.setServers([server])
    }
  }
  dnsPromises.setServers([server])
  dnsPromises.Resolver = class extends dnsPromises.Resolver {
    constructor(...options: ConstructorParameters<typeof dnsPromises.Resolver>) {
      super(...options)
      this.setServers([server])
    }
  }
}

interface ConnectOptions {
  host?: string
  port?: number | string
  path?: string
}

function leadConnections(link: RemoteLink): void {
  const original = net.Socket.prototype.connect
  const resolver = worldResolver(link.invitation.dns)
  const lead = function (this: net.Socket, ...args: unknown[]): net.Socket {
    const { host = 'localhost', port, path } = optionsOf(args)
    const elsewhere = path !== undefined || port === undefined || isLocal(host)
    if (elsewhere) return Reflect.apply(original, this, args)
    const enter = (address: string): net.Socket => {
      const purpose = Number(port) === 443 ? 'policy' : 'smtp'
      const target = { purpose, host, address, port: Number(port) }
      const route = link.route(target)
      route.claim(this)
      const [given] = [args[0]].flat()
      const options = typeof given === 'object' ? given : {}
      const listener = args.flat().find((one) => typeof one === 'function')
      return Reflect.apply(original, this, [{ ...options, ...route.options }, listener])
    }
    if (isIP(host)) return ADDRESS.test(host) ? enter(host) : Reflect.apply(original, this, args)
    // A name is looked up in the world first. The socket is connecting meanwhile
    Reflect.set(this, 'connecting', true)
    addressOf(resolver, host).then((address) => {
      if (this.destroyed) return
      if (address !== undefined && ADDRESS.test(address)) enter(address)
      else Reflect.apply(original, this, args)
    })
    return this
  }
  net.Socket.prototype.connect = lead
}

/** Reads all forms of the arguments of `socket.connect()`. */
function optionsOf(args: readonly unknown[]): ConnectOptions {
  const [first, second] = [args[0]].flat().concat(args.slice(1))
  if (typeof first === 'object' && first !== null) return first
  if (typeof first === 'string' && !/^\d+$/.test(first)) return { path: first }
  return { port: Number(first), ...(typeof second === 'string' ? { host: second } : {}) }
}

function isLocal(host: string): boolean {
  return (
    host === 'localhost' || host === '::1' || host.startsWith('127.') || host.endsWith('.invalid')
  )
}

async function addressOf(
  resolver: dns.promises.Resolver,
  host: string,
): Promise<string | undefined> {
  const [found] = await resolver.resolve4(host).catch(() => resolver.resolve6(host).catch(() => []))
  return found
}

/** The date follows the clock of the world; certificates go by real time. */
function leadDate(link: RemoteLink): void {
  const RealDate = Date
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args, newTarget) =>
      Reflect.construct(target, args.length === 0 ? [link.now()] : args, newTarget),
    apply: () => new RealDate(link.now()).toString(),
    get: (target, key) => (key === 'now' ? link.now : Reflect.get(target, key)),
  })
}
