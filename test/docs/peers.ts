/**
 * mailauth and mx-connect in a mail world: their DNS lookups, GETs and connections lead there.
 *
 * @module
 */
import https from 'node:https'
import { connect as connectTls } from 'node:tls'
import { callbackify } from 'node:util'
import mxConnect, { type Options } from 'mx-connect'
import type { MailWorld } from '../../src/testing/index.js'

/** Leads requests, which take neither a port nor a root from their callers, into the world. */
export class WorldAgent extends https.Agent {
  readonly #world: MailWorld

  constructor(world: MailWorld) {
    super()
    this.#world = world
  }

  override createConnection(options: https.AgentOptions) {
    const { host = '', servername = '' } = options
    const target = { purpose: 'policy', host: servername, address: host, port: 443 }
    const socket = this.#world.options().connect(target)
    return connectTls({ ...options, socket, servername, ca: this.#world.ca })
  }
}

/** What mx-connect takes to live in the world; `hosts` gets the addresses that it connects to. */
export function mxConnectOptions(
  world: MailWorld,
  hosts: string[] = [],
): Pick<Options, 'dnsOptions' | 'connectHook'> {
  const { resolver, connect } = world.options()
  const resolve = callbackify(async (name: string, type: string) => {
    if (type === 'MX') return resolver.resolveMx(name)
    if (type === 'TXT') return resolver.resolveTxt(name)
    return type === 'AAAA' ? resolver.resolve6(name) : resolver.resolve4(name)
  })
  return {
    dnsOptions: {
      resolve: resolve as unknown as typeof import('node:dns').resolve,
      blockLocalAddresses: false,
    },
    connectHook: (_, options, done) => {
      hosts.push(options.host)
      const target = { purpose: 'smtp', host: '', address: options.host, port: 25 }
      Object.assign(options, { socket: connect(target) })
      done()
    },
  }
}

/** mx-connect as a program in the world has it. */
export async function mxConnectIn(world: MailWorld, options: Options) {
  const agent = https.globalAgent
  https.globalAgent = new WorldAgent(world)
  try {
    return await mxConnect({ ...mxConnectOptions(world), ...options })
  } finally {
    https.globalAgent = agent
  }
}
