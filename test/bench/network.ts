/**
 * The network of a sender on loopback, each server in a separate process: the DNS, the policy
 * hosts, and one SMTP server for all MX hosts.
 *
 * @module
 */
import { promises as dns } from 'node:dns'
import { connect, type Socket } from 'node:net'
import type { ConnectTarget } from 'mta-sts'
import { CertificateAuthority, type Credentials } from '../../src/testing/authority.js'
import { Server } from './servers/server.js'
import type { SinkSetup } from './servers/setup.js'

export interface NetworkOptions {
  /** The MX hosts of every domain, and of every domain's policy */
  mxHosts: readonly string[]
  /** The domains with a policy host; all of them have a record */
  policyDomains?: readonly string[]
  /** Number of policy hosts that share a certificate; default 1, as in reality */
  domainsPerCertificate?: number
  /** Habits of the MX host */
  sink?: Pick<SinkSetup, 'delay' | 'pipelining'>
}

export const POLICY_ID = '20260801T000000'
export const RECORD = `v=STSv1; id=${POLICY_ID};`
export const MAX_AGE = 604_800

/** The senders' name in EHLO. */
export const SENDER = 'mail.sender.example'

/** A documentation address: every sender accepts it, and it leads nowhere. */
export const ADDRESS = '192.0.2.1'

/** As of nearby resolvers; no run lasts as long. */
const TTL = 300

export class Network implements AsyncDisposable {
  /** The root of all certificates, PEM. */
  readonly ca: string
  /** The certificate of all MX hosts, PEM. */
  readonly mxCertificate: string
  readonly dns: Server<'dns'>
  readonly policyHosts: Server<'policy'>
  readonly sink: Server<'sink'>
  readonly #servers: readonly AsyncDisposable[]

  private constructor(
    { ca, mxCertificate }: Pick<Network, 'ca' | 'mxCertificate'>,
    servers: Pick<Network, 'dns' | 'policyHosts' | 'sink'>,
  ) {
    this.ca = ca
    this.mxCertificate = mxCertificate
    this.dns = servers.dns
    this.policyHosts = servers.policyHosts
    this.sink = servers.sink
    this.#servers = [servers.dns, servers.policyHosts, servers.sink]
  }

  static async start({
    mxHosts,
    policyDomains = [],
    domainsPerCertificate = 1,
    sink: habits,
  }: NetworkOptions): Promise<Network> {
    const authority = await CertificateAuthority.create()
    const mx = await authority.issue({ san: mxHosts.map((host) => `DNS:${host}`) })
    const credentials = await policyCredentials(authority, policyDomains, domainsPerCertificate)
    const body = policyFile(mxHosts)
    const [dnsServer, policyHosts, sink] = await Promise.all([
      Server.start({ role: 'dns', txt: RECORD, mx: mxHosts, address: ADDRESS, ttl: TTL }),
      Server.start({ role: 'policy', body, credentials }),
      Server.start({ role: 'sink', name: mxHosts[0] ?? '', ...mx, ...habits }),
    ])
    const certificates = { ca: authority.root, mxCertificate: mx.cert }
    return new Network(certificates, { dns: dnsServer, policyHosts, sink })
  }

  /** A resolver that asks the DNS of this network. */
  resolver(): dns.Resolver {
    const resolver = new dns.Resolver()
    resolver.setServers([`127.0.0.1:${this.dns.port}`])
    return resolver
  }

  /** Options of `MtaSts` and the transport for this network. */
  senderOptions() {
    return {
      name: SENDER,
      ca: this.ca,
      resolver: this.resolver(),
      connect: ({ purpose }: ConnectTarget): Socket =>
        connect({
          host: '127.0.0.1',
          port: purpose === 'policy' ? this.policyHosts.port : this.sink.port,
        }),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.map((server) => server[Symbol.asyncDispose]()))
  }
}

export function policyFile(mxHosts: readonly string[]): string {
  const lines = [
    'version: STSv1',
    'mode: enforce',
    ...mxHosts.map((host) => `mx: ${host}`),
    `max_age: ${MAX_AGE}`,
  ]
  return lines.map((line) => `${line}\r\n`).join('')
}

/** Returns `prefix0.example`, `prefix1.example` and so on. */
export function domainNames(count: number, prefix: string): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}.example`)
}

async function policyCredentials(
  authority: CertificateAuthority,
  domains: readonly string[],
  perCertificate: number,
): Promise<Record<string, Credentials>> {
  const all: Record<string, Credentials> = {}
  for (let from = 0; from < domains.length; from += perCertificate) {
    const hosts = domains.slice(from, from + perCertificate).map((domain) => `mta-sts.${domain}`)
    const credentials = await authority.issue({ san: hosts.map((host) => `DNS:${host}`) })
    for (const host of hosts) all[host] = credentials
  }
  return all
}
