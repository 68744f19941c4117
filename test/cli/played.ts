/** A row of the lab's table, played by a mail world as far as it can. */
import type { Resolver } from '../../src/dns/resolver.js'
import type { MailDomain, MxHost } from '../../src/testing/index.js'
import { certificateSpec } from '../lab/certificates.js'
import { nameOf, type PlacedDomain, place } from '../lab/placement.js'
import type {
  Change,
  LabDomain,
  MxHost as LabHost,
  PolicyAnswer,
  TxtAnswer,
} from '../lab/vocabulary.js'
import type { Stage } from './support.js'

export interface Played {
  placed: PlacedDomain
  /** The world's resolver; names with a name server that is dead get no answer */
  resolver: Resolver
  /** Makes the change between the first message and the second */
  change(): void
}

export function play(stage: Stage, row: LabDomain): Played {
  const {
    domains: [placed],
  } = place([row])
  if (placed === undefined) throw new Error('a row is a domain')
  const { resolver } = stage.world.options()
  // Nothing in the world has the name
  if (row.mx === 'nxdomain') return { placed, resolver, change: () => undefined }
  const { name, hosts } = placed
  const { policy } = row
  const listed = row.itself || typeof row.mx === 'string' ? [] : hosts
  const mx = listed.map(({ name: host, preference }, index) => ({
    host,
    preference: preference ?? 10 * (index + 1),
  }))
  const domain = stage.world.domain(name, {
    ...(policy === undefined ? {} : policyOptions(policy, name)),
    ...(typeof row.mx === 'string' ? {} : { mx }),
  })
  if (policy !== undefined) playPolicyHost(stage, domain, policy)
  if (row.txt !== undefined) playTxt(stage, domain, row.txt)
  if (row.mx === 'null') domain.dns.fails('null-mx')
  else if (typeof row.mx === 'string') domain.dns.fails(LOOKUPS[row.mx], 'mx')
  const dead = hosts.flatMap((host) => {
    playHost(stage, host)
    return host.address === 'dead-dns' ? [host.name] : []
  })
  return {
    placed,
    resolver: withoutAnswer(resolver, new Set(dead)),
    change: () => {
      if (policy?.host === 'goes-down') domain.policyHost.fails('down')
      change(domain, row.between ?? {})
    },
  }
}

const LOOKUPS = { lame: 'refused', dead: 'timeout' } as const

function policyOptions({ mode, mx, maxAge, body }: PolicyAnswer, domain: string) {
  const patterns = mx.map((label) => nameOf(label, domain))
  return {
    ...{ mode, patterns, id: '1' },
    ...(maxAge === undefined ? {} : { maxAge }),
    ...(body === undefined ? {} : { body }),
  }
}

const HABITS = {
  'not-found': '404',
  redirects: 'redirect',
  'as-html': 'html',
  oversize: 'oversize',
  drips: 'drip',
  down: 'down',
} as const

function playPolicyHost(
  { world }: Stage,
  { policyHost, dns }: MailDomain,
  { host, certificate, family }: PolicyAnswer,
): void {
  const { name, ipv4, ipv6 } = policyHost
  if (host !== undefined && host in HABITS) policyHost.fails(HABITS[host as keyof typeof HABITS])
  if (host === 'dead-dns') dns.fails('timeout', 'policy-host')
  if (certificate !== undefined)
    policyHost.certificate(certificateSpec({ name, ipv4 }, certificate))
  if (family !== 6) return
  world.dns.set(name, 'A', [])
  world.dns.set(name, 'AAAA', [ipv6])
}

function playTxt({ world }: Stage, domain: MailDomain, txt: TxtAnswer): void {
  const name = `_mta-sts.${domain.name}`
  if (txt === 'dead' || txt === 'lame') {
    domain.dns.fails(LOOKUPS[txt], 'record')
  } else if ('records' in txt) {
    world.dns.set(name, 'TXT', txt.records)
  } else {
    world.dns.set(name, 'CNAME', [`record.${domain.name}`])
    world.dns.set(`record.${domain.name}`, 'TXT', [txt.cname])
  }
}

function playHost({ world }: Stage, host: PlacedDomain['hosts'][number]): void {
  const mx = world.mx(host.name)
  playAddress(host, mx, world.dns)
  if (host.server === 'nobody') mx.fails('unreachable')
  const fault = host.attacker === undefined ? TLS[host.tls] : ATTACKS[host.attacker]
  if (fault !== undefined) mx.fails(fault)
  if (host.tls === 'no-pipelining') mx.offers({ PIPELINING: false })
  if (host.reply !== undefined) mx.rule({ at: 'rcpt', reply: host.reply })
  if (host.certificate !== 'good') {
    mx.certificate(certificateSpec({ name: host.name, ipv4: mx.ipv4 }, host.certificate))
  }
}

/** No fault: the world's hosts offer TLS, and show the certificate of the name they are asked for. */
const TLS = {
  offered: undefined,
  mandatory: undefined,
  'no-pipelining': undefined,
  'by-sni': undefined,
  'dsn-before-tls': undefined,
  none: 'no-starttls',
  'answered-454': 'starttls-454',
  'no-certificate': 'handshake-reset',
  'tls-1.1': 'tls-1.1',
} as const satisfies Record<LabHost['tls'], unknown>

const ATTACKS = {
  'strips-starttls': 'no-starttls',
  injects: 'response-injection',
} as const

function playAddress(
  { name, address, cname }: PlacedDomain['hosts'][number],
  mx: MxHost,
  dns: Stage['world']['dns'],
): void {
  if (address === 6) dns.set(name, 'A', [])
  if (address === 6 || address === 'both') dns.set(name, 'AAAA', [mx.ipv6])
  if (typeof address === 'object') dns.set(name, 'A', [address.given])
  if (cname === undefined) return
  const real = nameOf(cname, name.slice(name.indexOf('.') + 1))
  dns.set(name, 'CNAME', [real])
  dns.set(real, 'A', [mx.ipv4])
}

function change(domain: MailDomain, { txt, policy }: Change): void {
  const id = /id=(\w+)/.exec(txt ?? '')?.[1] ?? '1'
  if (policy !== undefined) {
    const patterns = policy.mx.map((label) => nameOf(label, domain.name))
    domain.policy({ mode: policy.mode, patterns, id })
  }
  if (txt !== undefined) domain.record(txt)
}

/** The world has no name servers that are dead for one host alone. */
function withoutAnswer(resolver: Resolver, dead: ReadonlySet<string>): Resolver {
  const unless =
    <T>(query: (name: string) => Promise<T>) =>
    async (name: string) => {
      if (dead.has(name)) throw Object.assign(new Error(`queryA ETIMEOUT ${name}`), TIMEOUT)
      return query(name)
    }
  return {
    resolveTxt: (name) => resolver.resolveTxt(name),
    resolveMx: (name) => resolver.resolveMx(name),
    resolve4: unless((name) => resolver.resolve4(name)),
    resolve6: unless((name) => resolver.resolve6(name)),
  }
}

const TIMEOUT = { code: 'ETIMEOUT' }
