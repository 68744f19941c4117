/** Vectors, and handshakes with servers that show any chain. */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { tlsOptions, trustedRoots } from '../../src/tls/options.js'
import type { TlsaRecord } from '../../src/tls/security.js'

export interface DaneCase {
  id: string
  chain: string[]
  key: string
  tlsa: Array<{ usage: number; selector: number; matchingType: number; data: string }>
  names: string[]
  expect: 'match' | 'fail' | 'unusable'
  resultType?: string
  rfc: string
  at?: number
}

interface DaneVectors {
  now: number
  keys: Record<string, string>
  certs: Record<string, string>
  cases: DaneCase[]
}

export const vectors: DaneVectors = JSON.parse(
  readFileSync(new URL('../fixtures/vectors/dane.json', import.meta.url), 'utf8'),
)

/** The certificate of the vectors with this id, in PEM. */
export function pemOf(id: string): string {
  const pem = vectors.certs[id]
  if (pem === undefined) throw new RangeError(`no certificate ${id}`)
  return pem
}

export function derOf(id: string): Uint8Array {
  return new X509Certificate(pemOf(id)).raw
}

export function recordsOf({ tlsa }: Pick<DaneCase, 'tlsa'>): TlsaRecord[] {
  return tlsa.map((record) => ({ ...record, data: Buffer.from(record.data, 'hex') }))
}

/** A peer that shows these certificates, as `judgeCertificates` reads it. */
export function peerOf(chain: readonly string[]) {
  const all = chain.map(derOf)
  return { own: all[0], all: () => all }
}

const ROOTS = trustedRoots(undefined)

/** Runs `use` on the client's socket of a finished handshake with a server that shows the chain. */
export async function withPeer<T>(
  { chain, key }: { chain: readonly string[]; key: string },
  use: (socket: TLSSocket) => T | Promise<T>,
  host = 'mx.example.com',
): Promise<T> {
  const server = createServer({
    key,
    cert: chain.join('\n'),
    // SHA-1 signatures and small keys are among what a server of the vectors shows
    ciphers: 'DEFAULT@SECLEVEL=0',
  })
  server.on('secureConnection', (socket) => socket.on('error', () => undefined))
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const options = tlsOptions(host, { level: 'encrypted' }, ROOTS)
  const socket = tlsConnect({ ...options, host: '127.0.0.1', port })
  try {
    await once(socket, 'secureConnect')
    return await use(socket)
  } finally {
    socket.destroy()
    server.close()
  }
}
