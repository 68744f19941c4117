/**
 * A receiver of reports by mail: an SMTP server that checks each as RFC 8460 demands, and refuses
 * those that the submitter has not signed.
 */
import { createPublicKey } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { dkimVerify } from 'mailauth/lib/dkim/verify.js'
import { SMTPServer } from 'smtp-server'
import { parseReport, type TlsReport } from '../../src/tlsrpt/index.js'
import { DKIM, DKIM_KEY } from './support.js'

/** The header fields of a mail, unfolded, by their names in lower case. */
export function headerOf(raw: Buffer | string): Map<string, string> {
  const [header = ''] = raw.toString().split('\r\n\r\n', 1)
  const lines = header.replace(/\r\n[ \t]+/g, ' ').split('\r\n')
  return new Map(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
}

/** The DNS record of the key; with the service type of RFC 8460 §6.6. */
export async function dkimRecord(name: string, type: string): Promise<string[][]> {
  if (type !== 'TXT' || name !== `${DKIM.keySelector}._domainkey.${DKIM.domainName}`) return []
  const key = createPublicKey(DKIM_KEY).export({ type: 'spki', format: 'der' }).toString('base64')
  return [[`v=DKIM1; k=rsa; s=email:tlsrpt; p=${key}`]]
}

/** The reason for which a receiver would ignore it; undefined otherwise. */
export async function problemWith(raw: Buffer): Promise<string | undefined> {
  const { results } = await dkimVerify(raw, { resolver: dkimRecord })
  const header = headerOf(raw)
  const [result] = results
  if (result?.status.result !== 'pass') return `DKIM: ${result?.info ?? 'no signature'}`
  if (result.signingDomain !== header.get('tls-report-submitter')) return 'signed by another domain'
  const tags = new Map(
    (header.get('dkim-signature') ?? '').split(';').map((tag) => {
      const equals = tag.indexOf('=')
      return [tag.slice(0, equals).trim(), tag.slice(equals + 1).trim()] as const
    }),
  )
  if (tags.has('l')) return 'l= is not allowed'
  const signed = (tags.get('h') ?? '').toLowerCase().split(/\s*:\s*/)
  const missing = ['tls-report-domain', 'tls-report-submitter', 'from', 'subject'].find(
    (field) => !signed.includes(field),
  )
  return missing === undefined ? undefined : `${missing} is not signed`
}

export interface Received {
  raw: Buffer
  report: TlsReport
  to: string[]
}

export class Receiver {
  readonly received: Received[] = []
  readonly refused: string[] = []
  readonly #server: SMTPServer

  constructor() {
    this.#server = new SMTPServer({
      disabledCommands: ['AUTH', 'STARTTLS'],
      disableReverseLookup: true,
      onData: (stream, { envelope }, done) => {
        buffer(stream)
          .then((raw) =>
            this.#take(
              raw,
              envelope.rcptTo.map(({ address }) => address),
            ),
          )
          .then(() => done(), done)
      },
    })
  }

  async listen(): Promise<void> {
    const server = this.#server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  }

  get port(): number {
    return (this.#server.server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(resolve))
  }

  async #take(raw: Buffer, to: string[]): Promise<void> {
    const problem = await problemWith(raw)
    if (problem !== undefined) {
      this.refused.push(problem)
      throw Object.assign(new Error(problem), { responseCode: 550 })
    }
    this.received.push({ raw, report: parseReport(raw), to })
  }
}
