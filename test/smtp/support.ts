/** Connections to scripted hosts: the input of `openSmtp`, and its callbacks. */
import type { Socket } from 'node:net'
import type { ConnectTarget } from '../../src/net/connect.js'
import type {
  OpenOptions,
  OpenSettings,
  SessionReport,
  SmtpConnection,
  SmtpTarget,
} from '../../src/smtp/connection.js'
import { SmtpError } from '../../src/smtp/errors.js'
import { openSmtp } from '../../src/smtp/open.js'
import { tlsOptions, trustedRoots } from '../../src/tls/options.js'
import type { Security } from '../../src/tls/security.js'
import { assess } from '../../src/tls/verdict.js'
import { Peer, type Script, ScriptedMx, takeMessages, untilSecured } from '../e2e/scripted-mx.js'

export { Peer, type Script, ScriptedMx, takeMessages, untilSecured }

export const OPPORTUNISTIC: Security = { level: 'opportunistic' }
export const TESTING: Security = { level: 'opportunistic', audit: { by: 'sts' } }
export const ENCRYPTED: Security = { level: 'encrypted' }
export const AUTHENTICATED: Security = { level: 'authenticated', proofs: [{ by: 'sts' }] }

export interface Seen {
  sessions: SessionReport[]
  unreachable: Array<{ address: string; error: Error }>
  log: string[]
  dials: ConnectTarget[]
  sockets: Socket[]
}

export interface OpenSpec extends OpenOptions {
  security?: Security
  /** The name that the certificate must have; default: the host's own */
  host?: string
  addresses?: readonly string[]
  target?: Partial<SmtpTarget>
  settings?: Partial<OpenSettings>
}

/** The input of `openSmtp` for a scripted host, and a record of its callbacks. */
export function openingTo(
  mx: ScriptedMx,
  {
    security = AUTHENTICATED,
    addresses = ['192.0.2.1'],
    host = mx.host,
    target,
    settings,
    ...options
  }: OpenSpec = {},
): { target: SmtpTarget; settings: OpenSettings; seen: Seen } {
  const seen: Seen = { sessions: [], unreachable: [], log: [], dials: [], sockets: [] }
  return {
    seen,
    target: {
      mxHost: host,
      addresses,
      port: 25,
      security,
      tls: tlsOptions(host, security, trustedRoots(mx.ca)),
      judge: (socket) => assess(socket, host, security),
      ...target,
    },
    settings: {
      name: 'sender.example',
      connect: (dialled) => {
        seen.dials.push(dialled)
        const socket = mx.dial()
        seen.sockets.push(socket)
        return socket
      },
      log: (direction, text) => seen.log.push(`${direction}: ${text}`),
      onSession: (session) => seen.sessions.push(session),
      onUnreachable: (address, error) => seen.unreachable.push({ address, error }),
      ...options,
      ...settings,
    },
  }
}

/** Opens a connection to a scripted host. */
export async function open(
  mx: ScriptedMx,
  spec?: OpenSpec,
): Promise<SmtpConnection & { seen: Seen }> {
  const { target, settings, seen } = openingTo(mx, spec)
  return Object.assign(await openSmtp(target, settings), { seen })
}

/** The error that a promise rejects with; a promise that resolves is a failure of the test. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (outcome instanceof Error) return outcome
  throw new Error('The promise was resolved, or rejected with what is no error')
}

export async function smtpRejection(promise: Promise<unknown>): Promise<SmtpError> {
  const error = await rejection(promise)
  if (error instanceof SmtpError) return error
  throw new Error('The promise was rejected with what is no SmtpError', { cause: error })
}

export const ENVELOPE = { from: 'ann@sender.example', to: ['bob@bob.example'] }
