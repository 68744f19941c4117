/**
 * A policy host for any number of domains: TLS by SNI, and one file.
 *
 * @module
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createSecureContext, createServer, type SecureContext } from 'node:tls'
import type { PolicyCounts, PolicySetup, Running } from './setup.js'

export async function startPolicyHost(setup: PolicySetup, port: number): Promise<Running> {
  /** By certificate, which several hosts may share */
  const contexts = new Map<string, SecureContext>()
  const contextOf = (host: string) => {
    const credentials = setup.credentials[host]
    if (credentials === undefined) return undefined
    const context = contexts.get(credentials.cert) ?? createSecureContext(credentials)
    contexts.set(credentials.cert, context)
    return context
  }
  const reply = [
    'HTTP/1.1 200 OK',
    'Content-Type: text/plain',
    `Content-Length: ${Buffer.byteLength(setup.body)}`,
    'Connection: close',
    '',
    setup.body,
  ].join('\r\n')

  let counts: PolicyCounts = { gets: 0 }
  const server = createServer(
    {
      ALPNProtocols: ['http/1.1'],
      SNICallback: (host, done) => {
        const context = contextOf(host)
        done(context ? null : new Error(`There is no policy host ${host}`), context)
      },
    },
    (socket) => {
      let request = ''
      socket.setEncoding('latin1')
      socket.on('error', () => socket.destroy())
      socket.on('data', (chunk: string) => {
        request += chunk
        if (!request.endsWith('\r\n\r\n')) return
        const known = request.startsWith('GET /.well-known/mta-sts.txt HTTP/1.1\r\n')
        if (known) counts.gets++
        socket.end(known ? reply : 'HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n')
      })
    },
  )
  server.on('tlsClientError', () => undefined)
  server.listen(port, '127.0.0.1', 2048)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    take() {
      const taken = counts
      counts = { gets: 0 }
      return taken
    },
  }
}
