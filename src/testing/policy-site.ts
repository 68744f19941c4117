/**
 * The policy host of one domain: what `https://mta-sts.<domain>/` answers.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import type { PolicyHost } from './api.js'
import { type Arrival, Endpoint, type EndpointSetup } from './endpoint.js'
import type { PolicyHostFault } from './faults.js'
import type { PolicyGet } from './log.js'
import type { Accept } from './loopback.js'
import type { PolicyServer } from './policy-server.js'

const POLICY_PATH = '/.well-known/mta-sts.txt'
const ELSEWHERE = '/elsewhere/mta-sts.txt'
const DRIP_INTERVAL = 200
const OVERSIZE = 70_000

interface Response {
  status: number
  headers: Readonly<Record<string, string>>
  body: string | Buffer
}

export interface PolicySiteSetup extends EndpointSetup {
  server: PolicyServer
  /** The policy file of the moment; undefined: there is none */
  body: () => string | undefined
}

export class PolicySite extends Endpoint<PolicyHostFault> implements PolicyHost {
  readonly #server: PolicyServer
  readonly #body: () => string | undefined

  constructor(setup: PolicySiteSetup) {
    super(setup)
    this.#server = setup.server
    this.#body = setup.body
    setup.server.sites.set(this.name, this)
  }

  get gets(): PolicyGet[] {
    return this.surroundings.log.of('get').filter(({ host }) => host === this.name)
  }

  protected accepts({ port }: Arrival): Accept | undefined {
    if (port !== 443 || this.fault === 'down') return undefined
    if (this.fault === 'reset') {
      return (socket) => socket.once('data', () => socket.resetAndDestroy())
    }
    return (socket) => this.#server.accept(socket)
  }

  /** Answers, and says with which status. */
  respond(request: IncomingMessage, response: ServerResponse): number {
    const { status, headers, body } = this.#response(request.url ?? '/')
    response.writeHead(status, headers)
    if (this.fault === 'drip') drip(response, String(body))
    // Without a Content-Length, so that the size cannot be known from the header
    else if (this.fault === 'oversize') response.write(body, () => response.end())
    else response.end(body)
    return status
  }

  #response(path: string): Response {
    const body = this.#body()
    const found = path === POLICY_PATH || (path === ELSEWHERE && this.fault === 'redirect')
    if (!found || body === undefined) return text(404, 'Not found\n')
    const good = text(200, body)
    switch (this.fault) {
      case '404':
        return text(404, 'Not found\n')
      case '500':
        return text(500, 'Out of order\n')
      case 'redirect':
        if (path === ELSEWHERE) return good
        return { ...text(301, ''), headers: { location: `https://${this.name}${ELSEWHERE}` } }
      case 'html':
        return { ...good, headers: { 'content-type': 'text/html' }, body: HTML }
      case 'oversize':
        return text(200, `${body}x_padding: ${'x'.repeat(OVERSIZE)}\r\n`)
      case 'gzip':
        return {
          ...good,
          headers: { ...good.headers, 'content-encoding': 'gzip' },
          body: gzipSync(body),
        }
      case 'invalid-policy':
        return text(200, body.replace(/^mode:.*$/m, 'mode: strict'))
      default:
        return typeof this.fault === 'object' ? { ...good, ...this.fault } : good
    }
  }
}

const HTML = '<!doctype html><title>Parked</title><p>This domain is for sale.</p>\n'

function text(status: number, body: string): Response {
  return { status, headers: { 'content-type': 'text/plain' }, body }
}

/** The policy byte by byte, and then a field that never ends. */
function drip(response: ServerResponse, body: string): void {
  const bytes = `${body}x_drip: `
  let sent = 0
  const timer = setInterval(() => response.write(bytes[sent++] ?? 'x'), DRIP_INTERVAL)
  timer.unref()
  response.once('close', () => clearInterval(timer))
}
