/**
 * The policy host of one domain: the responses of `https://mta-sts.<domain>/`.
 *
 * @module
 */
import {
  type IncomingMessage,
  type ServerResponse,
  validateHeaderName,
  validateHeaderValue,
} from 'node:http'
import type { SecureContextOptions } from 'node:tls'
import { gzipSync } from 'node:zlib'
import { type Arrival, Endpoint, type EndpointSetup, familyOf } from './endpoint.js'
import { POLICY_HOST_FAULTS, placeOfPolicyHostFault } from './fault-places.js'
import { inSlot, type Place } from './fault-stack.js'
import type { PolicyHostFault } from './faults.js'
import type { PolicyHost } from './host-api.js'
import type { PolicyGet } from './log.js'
import type { Accept } from './loopback.js'
import { checkFields, checkName, checkSome, isOptions, must, wholeFrom } from './named.js'
import type { PolicyServer } from './policy-server.js'
import type { FaultHandle, FaultOptions } from './standing.js'
import { timers } from './timers.js'
import { type TlsServerOptions, tlsServerOptions } from './tls-settings.js'

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
  servers: Readonly<Record<4 | 6, PolicyServer>>
  /** Returns the present policy file; undefined without a policy */
  body: () => string | undefined
}

const RESPONSE = {
  status: wholeFrom(200, 599),
  headers: must('an object of header fields', areHeaders),
  body: must('a string or a Buffer', (body) => typeof body === 'string' || Buffer.isBuffer(body)),
}

function checkResponse(fault: object): void {
  checkFields('fails(): the response', fault, RESPONSE)
  checkSome('fails(): the response', fault, Object.keys(RESPONSE))
}

function areHeaders(value: unknown): boolean {
  if (!isOptions(value)) return false
  try {
    for (const [name, text] of Object.entries(value)) {
      validateHeaderName(name)
      validateHeaderValue(name, text)
      if (typeof text !== 'string') return false
    }
    return true
  } catch {
    return false
  }
}

export class PolicySite extends Endpoint<PolicyHostFault> implements PolicyHost {
  readonly #servers: PolicySiteSetup['servers']
  readonly #body: () => string | undefined

  constructor(setup: PolicySiteSetup) {
    super(setup)
    this.#servers = setup.servers
    this.#body = setup.body
  }

  override fails(fault: PolicyHostFault, options?: FaultOptions): FaultHandle {
    if (typeof fault === 'object') checkResponse(fault)
    else checkName('fails(): the fault', fault, POLICY_HOST_FAULTS)
    return super.fails(fault, options)
  }

  get gets(): PolicyGet[] {
    return this.surroundings.log.of('get').filter(({ host }) => host === this.name)
  }

  /** Returns its present TLS options. */
  async secure(family: 4 | 6): Promise<SecureContextOptions & TlsServerOptions> {
    const arrival = { address: family === 4 ? this.ipv4 : this.ipv6, port: 443 }
    inSlot(this.playedOn(arrival), 'certificate')?.standing.meet()
    return { ...(await this.credentials(arrival)), ...tlsServerOptions(this.tlsSettings) }
  }

  protected placeOf(fault: PolicyHostFault): Place {
    return placeOfPolicyHostFault(fault)
  }

  protected accepts(arrival: Arrival): Accept | undefined {
    if (arrival.port !== 443) return undefined
    const played = inSlot(this.playedOn(arrival), 'connect')
    played?.standing.meet()
    if (played?.fault === 'down') return undefined
    if (played?.fault === 'reset') {
      return (socket) => socket.once('data', () => socket.resetAndDestroy())
    }
    return (socket) => {
      const accepted = this.#servers[familyOf(arrival)].accept(socket, this)
      accepted.catch((error) => socket.destroy(error))
    }
  }

  /** Responds, and returns the status. */
  respond(request: IncomingMessage, response: ServerResponse, family: 4 | 6): number {
    const played = inSlot(this.faults.of(family), 'response')
    played?.standing.meet()
    const fault = played?.fault
    const { status, headers, body } = this.#response(request.url ?? '/', fault)
    response.writeHead(status, headers)
    if (fault === 'drip') drip(response, String(body))
    // Without a Content-Length, so that the size cannot be known from the header
    else if (fault === 'oversize') response.write(body, () => response.end())
    else response.end(body)
    return status
  }

  #response(path: string, fault: PolicyHostFault | undefined): Response {
    const body = this.#body()
    const found = path === POLICY_PATH || (path === ELSEWHERE && fault === 'redirect')
    if (!found || body === undefined) return text(404, 'Not found\n')
    const good = text(200, body)
    switch (fault) {
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
        return typeof fault === 'object' ? { ...good, ...fault } : good
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
  const timer = timers.setInterval(() => response.write(bytes[sent++] ?? 'x'), DRIP_INTERVAL)
  timer.unref()
  response.once('close', () => timers.clearInterval(timer))
}
