/**
 * Whether the runtime notices a certificate for another host. On one that does not, every faulty
 * certificate would be accepted.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server } from 'node:tls'
import { MtaStsError } from '../errors.js'
import { CertificateAuthority } from './authority.js'

const RIGHT = 'right.example'
const WRONG = 'wrong.example'

/** The checks; tests replace them. */
export interface RuntimeChecks {
  /** Whether a certificate with only a common name is taken for a host of that name */
  takesCommonName: () => Promise<boolean>
  /** Whether a verified TLS connection to the host `right.example` comes about by this name */
  connects: (servername: string) => Promise<boolean>
}

/** Rejects with an `MtaStsError` of code `ERUNTIME` on a runtime that cannot tell names apart. */
export async function checkRuntime(checks?: RuntimeChecks): Promise<void> {
  if (checks !== undefined) return check(checks)
  const authority = await CertificateAuthority.create()
  const server = createServer(await authority.issue({ san: [`DNS:${RIGHT}`] }))
  try {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    await check({
      takesCommonName: () => takesCommonName(authority),
      connects: (servername) => connects(server, { servername, ca: authority.root }),
    })
  } finally {
    server.close()
  }
}

async function check(checks: RuntimeChecks): Promise<void> {
  const wrong = await faultsOf(checks).catch((error) => {
    // A new network namespace has no loopback until expose(), which checks again
    if (isUnreachable(error)) return []
    throw error
  })
  if (wrong.length === 0) return
  throw new MtaStsError(
    `A mail world would show wrong results on this runtime: ${wrong.join('; ')}`,
    'ERUNTIME',
  )
}

async function faultsOf({ takesCommonName, connects }: RuntimeChecks): Promise<string[]> {
  return [
    ...((await takesCommonName()) ? ['it takes a common name for the name of a host'] : []),
    ...((await connects(WRONG)) ? ['its TLS takes a certificate for another host'] : []),
    ...((await connects(RIGHT)) ? [] : ['its TLS does not take a good certificate']),
  ]
}

async function takesCommonName(authority: CertificateAuthority): Promise<boolean> {
  const { cert } = await authority.issue({ cn: RIGHT })
  return new X509Certificate(cert).checkHost(RIGHT, { subject: 'never' }) !== undefined
}

async function connects(
  server: Server,
  { servername, ca }: { servername: string; ca: string },
): Promise<boolean> {
  const { port } = server.address() as AddressInfo
  const socket = connect({ host: '127.0.0.1', port, servername, ca, rejectUnauthorized: true })
  try {
    await once(socket, 'secureConnect')
    return true
  } catch (error) {
    if (isUnreachable(error)) throw error
    return false
  } finally {
    socket.destroy()
  }
}

function isUnreachable(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENETUNREACH'
}
