/**
 * nginx: a virtual host for each policy host, selected by SNI, with its certificate and its way to
 * answer. The policies are files that can be replaced while it runs.
 *
 * @module
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Certificates } from './certificates.js'
import type { Namespace } from './network.js'
import { nameOf, type PlacedDomain } from './placement.js'
import { Daemon } from './shell.js'
import type { LabDomain, PolicyAnswer } from './vocabulary.js'

export class Nginx {
  readonly #namespace: Namespace
  readonly #directory: string
  readonly #addresses: readonly string[]
  #hasServers = false
  #daemon: Daemon | undefined

  constructor(namespace: Namespace, directory: string, addresses: readonly string[]) {
    this.#namespace = namespace
    this.#directory = directory
    this.#addresses = addresses
  }

  /** Serves the domains whose policy hosts are at one of its addresses. */
  async configure(domains: readonly PlacedDomain[], certificates: Certificates): Promise<void> {
    await mkdir(this.#directory, { recursive: true })
    const servers: string[] = []
    for (const domain of domains) {
      const { policy } = domain.spec
      const at = [...domain.policyAddresses.ipv4, ...domain.policyAddresses.ipv6]
      if (!policy || !at.some((address) => this.#addresses.includes(address))) continue
      await this.writePolicy(domain, policy)
      const host = { name: domain.policyHost, ipv4: this.#addresses[0] ?? '' }
      const file = await certificates.file(host, policy.certificate ?? 'good')
      servers.push(this.#server(domain, policy, file))
    }
    this.#hasServers = servers.length > 0
    await writeFile(join(this.#directory, 'nginx.conf'), this.#config(servers))
  }

  async start(): Promise<void> {
    if (!this.#hasServers) return
    const config = join(this.#directory, 'nginx.conf')
    const command = this.#namespace.command('nginx', '-c', config, '-e', this.#file('error.log'))
    const daemon = new Daemon('nginx', command, this.#file('output'))
    this.#daemon = daemon
    for (const address of this.#addresses) await this.#namespace.listening(address, 443, daemon)
  }

  async stop(): Promise<void> {
    await this.#daemon?.stop()
    for (const address of this.#addresses) await this.#namespace.silent(address, 443)
  }

  /** Returns the number of requests for each policy host. */
  async requests(): Promise<Map<string, number>> {
    const counts = new Map<string, number>()
    const log = await readFile(this.#file('access.log'), 'utf8').catch(() => '')
    for (const host of log.split('\n')) counts.set(host, (counts.get(host) ?? 0) + 1)
    return counts
  }

  /** Replaces the policy that the policy host serves. */
  async writePolicy(
    { name, policyHost }: PlacedDomain,
    policy: Pick<PolicyAnswer, 'mode' | 'mx' | 'maxAge' | 'host' | 'body'>,
  ): Promise<void> {
    if (policy.host === 'not-found') return
    const folder = this.#file(policyHost)
    // The other folder holds the target of a redirect
    const wellKnown = policy.host === 'redirects' ? 'elsewhere' : '.well-known'
    await mkdir(join(folder, wellKnown), { recursive: true })
    const body = policy.body ?? bodyOf(policy, name)
    const padding = policy.host === 'oversize' ? PADDING : ''
    await writeFile(join(folder, wellKnown, 'mta-sts.txt'), body + padding)
  }

  #file(name: string): string {
    return join(this.#directory, name)
  }

  #config(servers: readonly string[]): string {
    return `
      daemon off;
      worker_processes 1;
      user www-data;
      pid ${this.#file('pid')};
      error_log ${this.#file('error.log')};
      events { worker_connections 512; }
      http {
        log_format hosts '$host';
        access_log ${this.#file('access.log')} hosts;
        client_body_temp_path ${this.#file('body')};
        proxy_temp_path ${this.#file('proxy')};
        fastcgi_temp_path ${this.#file('fastcgi')};
        uwsgi_temp_path ${this.#file('uwsgi')};
        scgi_temp_path ${this.#file('scgi')};
        server_names_hash_bucket_size 128;
        types { text/plain txt; }
        ${servers.join('\n')}
      }
    `
  }

  #server({ policyHost }: PlacedDomain, { host }: PolicyAnswer, certificate: string): string {
    const listen = this.#addresses.map(
      (address) => `listen ${address.includes(':') ? `[${address}]` : address}:443 ssl;`,
    )
    return `
      server {
        ${listen.join(' ')}
        server_name ${policyHost};
        ssl_certificate ${certificate};
        ssl_certificate_key ${certificate};
        root ${this.#file(policyHost)};
        ${habit(host, policyHost)}
      }
    `
  }
}

function habit(host: PolicyAnswer['host'], policyHost: string): string {
  switch (host) {
    case 'redirects':
      return `location /.well-known/ { return 301 https://${policyHost}/elsewhere/mta-sts.txt; }`
    case 'as-html':
      return 'types { text/html txt; }'
    case 'drips':
      return 'limit_rate 1;'
    default:
      return ''
  }
}

const DEFAULT_MAX_AGE = 604_800

export function bodyOf(
  { mode, mx, maxAge = DEFAULT_MAX_AGE }: Pick<PolicyAnswer, 'mode' | 'mx' | 'maxAge'>,
  domain: LabDomain['name'],
): string {
  const patterns = mx.map((label) => `mx: ${nameOf(label, domain)}`)
  const lines = ['version: STSv1', `mode: ${mode}`, ...patterns, `max_age: ${maxAge}`]
  return lines.map((line) => `${line}\r\n`).join('')
}

/** Padding that makes a well-formed policy longer than 64 KiB. */
const PADDING = 'x_padding: no more than this\r\n'.repeat(2400)
