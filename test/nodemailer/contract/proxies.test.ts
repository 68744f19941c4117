/**
 * Proxies, and sockets that a program opens itself: the same as on the plain transport, and no
 * connection is made beside them.
 */
import { connect } from 'node:net'
import { Proxies, SOCKS } from './proxies.js'
import {
  type Case,
  contract,
  MESSAGE,
  outcome,
  type Run,
  type SmartHost,
  until,
} from './smart-host.js'

/** A callback of `getSocket`. */
type Done = (error: Error | null, options?: object | false) => void

/** What a case does with a proxy, for a host that may be reached through it alone. */
type ProxyCase = (run: Run, proxies: Proxies, options: { port: number }) => Promise<unknown>

/** Runs a case in front of the host, and adds what was asked of the proxy. */
function behind(run: ProxyCase, portOf = (host: SmartHost) => host.port): Case {
  return async (given) => {
    const proxies = new Proxies(portOf(given.host))
    const port = await proxies.trap()
    try {
      const result = await run(given, proxies, { port })
      const seen = { result, asked: proxies.asked, direct: proxies.direct }
      return JSON.parse(JSON.stringify(seen).replaceAll(String(port), '0'))
    } finally {
      await proxies.close()
    }
  }
}

const PROXIES: Record<string, Case> = {
  'the option proxy, HTTP': behind(async ({ make }, proxies, options) =>
    outcome(make({ ...options, proxy: await proxies.http() }).sendMail(MESSAGE)),
  ),
  'the option proxy: two messages and verify()': behind(async ({ make }, proxies, options) => {
    const transporter = make({ ...options, proxy: await proxies.http() })
    const first = await outcome(transporter.sendMail(MESSAGE))
    const second = await outcome(transporter.sendMail(MESSAGE))
    return [first, second, await transporter.verify()]
  }),
  'a connection that is reset while it is idle': behind(
    async ({ make, host }, proxies, options) => {
      const transporter = make({ ...options, maxConnections: 1, proxy: await proxies.http() })
      const first = await outcome(transporter.sendMail(MESSAGE))
      proxies.reset()
      await until(0, () => host.connections)
      return [first, await outcome(transporter.sendMail(MESSAGE))]
    },
  ),
  'a connection that is reset before the message is answered': behind(
    async ({ make, host }, proxies, options) => {
      const transporter = make({ ...options, proxy: await proxies.http(), maxRequeues: 0 })
      const release = host.hold()
      const sending = outcome(transporter.sendMail(MESSAGE))
      await until(1, () => host.got.length)
      proxies.reset()
      const first = await sending
      release()
      return [first, await outcome(transporter.sendMail(MESSAGE))]
    },
  ),
  'an HTTP proxy that refuses, then does not': behind(async ({ make }, proxies, options) => {
    const transporter = make({ ...options, proxy: await proxies.http() })
    proxies.refuses = true
    const first = await outcome(transporter.sendMail(MESSAGE))
    const failed = await outcome(transporter.verify() as never)
    proxies.refuses = false
    return [first, failed, await outcome(transporter.sendMail(MESSAGE))]
  }),
  'setupProxy()': behind(async ({ make }, proxies, options) => {
    const transporter = make(options)
    transporter.setupProxy(await proxies.http())
    return outcome(transporter.sendMail(MESSAGE))
  }),
  'setupProxy(), then verify() alone': behind(async ({ make }, proxies, options) => {
    const transporter = make(options)
    transporter.setupProxy(await proxies.http())
    return transporter.verify()
  }),
  SOCKS5: behind(async ({ make }, proxies, options) => {
    const transporter = make({ ...options, proxy: await proxies.socks() })
    transporter.set('proxy_socks_module', SOCKS)
    return [await outcome(transporter.sendMail(MESSAGE)), await transporter.verify()]
  }),
  'SOCKS5 without its module': behind(async ({ make }, proxies, options) => {
    const transporter = make({ ...options, proxy: await proxies.socks() })
    return outcome(transporter.sendMail(MESSAGE))
  }),
  'a protocol that nobody knows': behind(async ({ make }, _, options) =>
    outcome(make({ ...options, proxy: 'carrier://pigeon.example' }).sendMail(MESSAGE)),
  ),
  'a handler of the program': behind(async ({ make }, proxies, options) => {
    const transporter = make({ ...options, proxy: 'tunnel://gate.example:7' })
    const handler = (
      { hostname }: { hostname: string },
      { host, port }: { host: string; port: number },
      done: Done,
    ) => proxies.through(`${hostname} ${host}:${port}`, (connection) => done(null, { connection }))
    transporter.set('proxy_handler_tunnel', handler as never)
    return outcome(transporter.sendMail(MESSAGE))
  }),
  'TLS from the first byte on': behind(
    async ({ make }, proxies, options) =>
      outcome(make({ ...options, secure: true, proxy: await proxies.http() }).sendMail(MESSAGE)),
    (host) => host.tlsPort,
  ),
  'the option getSocket': behind(async ({ make }, proxies, options) => {
    const getSocket = ({ host, port }: { host: string; port: number }, done: Done) =>
      proxies.through(`${host}:${port}`, (connection) => done(null, { connection }))
    return outcome(make({ ...options, getSocket }).sendMail(MESSAGE))
  }),
  'getSocket that fails': behind(async ({ make }, _, options) => {
    const getSocket = (__: object, done: Done) => done(new Error('no socket today'))
    const transporter = make({ ...options, getSocket })
    const failed = await outcome(transporter.sendMail(MESSAGE))
    return [failed, await outcome(transporter.verify() as never)]
  }),
  'getSocket with nothing to give': async ({ make }) => {
    const getSocket = (_: object, done: Done) => done(null, false)
    return outcome(make({ getSocket }).sendMail(MESSAGE))
  },
  'the option socket': behind(async ({ make, host }, _, options) => {
    const { Socket } = await import('node:net')
    const socket = new Socket()
    const given: unknown[] = []
    const connectAsGiven = socket.connect.bind(socket)
    Object.assign(socket, {
      connect: (port: number, name: string, onConnect: () => void) => {
        given.push([port, name])
        return connectAsGiven(host.port, 'localhost', onConnect)
      },
    })
    return [await outcome(make({ ...options, socket }).sendMail(MESSAGE)), given]
  }),
  'the option connection': behind(async ({ make, host }, _, options) => {
    const connection = connect(host.port, 'localhost')
    return outcome(make({ ...options, connection }).sendMail(MESSAGE))
  }),
}

contract('a way of its own to the host', PROXIES)
