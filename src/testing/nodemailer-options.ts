/**
 * Options of plain Nodemailer for a host of a mail world.
 *
 * @module
 */
import type { Socket } from 'node:net'
import type { WorldTarget } from './api.js'
import type { Login } from './host-api.js'
import type { MxServer } from './mx-server.js'

/** For `nodemailer.createTransport()`. */
export interface NodemailerOptions {
  /** Name of the host, for the verification of its certificate */
  host: string
  /** Its port in the world */
  port: number
  /** Whether TLS begins with the first byte */
  secure: boolean
  /** Name in EHLO */
  name: string
  /** Login, if the host asks for one */
  auth?: NodemailerLogin
  /** Trusts the root of the world */
  tls: {
    /** PEM */
    ca: string
  }
  /** Connects to loopback */
  getSocket: (
    options: unknown,
    callback: (error: Error | null, socket?: { connection: Socket }) => void,
  ) => void
}

/** A login as Nodemailer takes it. */
export interface NodemailerLogin {
  /** `OAuth2` for an access token */
  type?: 'OAuth2'
  /** The name */
  user: string
  /** The password */
  pass?: string
  /** For XOAUTH2 */
  accessToken?: string
}

export interface NodemailerSetup {
  host: MxServer
  name: string
  ca: string
  connect: (target: WorldTarget) => Socket
}

export function nodemailerOptions({ host, name, ca, connect }: NodemailerSetup): NodemailerOptions {
  const { port = 25, secure = port === 465 } = host.options
  const [login] = [host.options.auth ?? []].flat()
  return {
    host: host.name,
    port,
    secure,
    name,
    ...(login === undefined ? {} : { auth: authOf(login) }),
    tls: { ca },
    getSocket: (_options, callback) => {
      const connection = connect({ purpose: 'smtp', host: host.name, address: host.ipv4, port })
      // As Nodemailer reports a connection of its own that fails
      const failed = (error: Error): void =>
        callback(Object.assign(error, { code: 'ESOCKET', command: 'CONN' }))
      connection.once('error', failed)
      connection.once('connect', () => {
        connection.removeListener('error', failed)
        callback(null, { connection })
      })
    },
  }
}

function authOf({ user, pass, accessToken }: Login): NodemailerLogin {
  if (pass !== undefined) return { user, pass }
  return { type: 'OAuth2', user, accessToken: accessToken ?? '' }
}
