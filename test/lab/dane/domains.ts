/**
 * The domains of the DANE part: their DNS, and the expected outcome of a message.
 *
 * @module
 */
import { type DaneHost, HOST_ZONE, type HostId, tlsaData } from './hosts.js'

/**
 * The outcome of a message:
 * - `dane`: delivered to a host that DANE authenticated
 * - `tls`: delivered over required TLS without a proof
 * - `opportunistic`: delivered as without DANE
 * - `refused`, `deferred`: temporary; `bounced`: permanent
 */
export type DaneOutcome = 'dane' | 'tls' | 'opportunistic' | 'refused' | 'deferred' | 'bounced'

export interface DaneDomain {
  /** Full name, without the root dot */
  name: string
  expected: DaneOutcome
  /** The reason of a refusal, if it is one */
  reason?: string
  /** A different verdict of `posttls-finger -l dane`, with the reason */
  oracle?: { verdict: DaneOutcome; because: string }
}

/** Zones by name: their records, as lines of a zone file relative to the zone. */
export type ZoneLines = Record<ZoneName, string[]>

export const ZONES = [
  'lab',
  'signed.lab',
  'unsigned.lab',
  'bogus.lab',
  'expired.lab',
  'optout.lab',
  'child.optout.lab',
] as const
export type ZoneName = (typeof ZONES)[number]

/** The name servers: a good one, one that refuses, and an address without a server. */
export const NS = { good: 'ns.lab.', lame: 'ns-lame.lab.', silent: 'ns-silent.lab.' } as const

/** RRsets of signed.lab that are changed after signing: owner, type, from, to. */
export const SPOILT = [
  ['_25._tcp.mx-bogus-tlsa', 'TLSA', '3 1 1', '3 1 2'],
  ['mx-bogus-a', 'A', '203.0.113.', '203.0.113.2'],
  ['bogus-mx', 'MX', '10 ', '11 '],
] as const

/** The table, and its zones. */
export function daneDomains(hosts: readonly DaneHost[]): {
  domains: DaneDomain[]
  zones: ZoneLines
} {
  const table = new Table(hosts)
  fill(table)
  return { domains: table.domains, zones: table.zones }
}

class Table {
  readonly domains: DaneDomain[] = []
  readonly zones = Object.fromEntries(ZONES.map((zone) => [zone, [] as string[]])) as ZoneLines
  readonly #hosts: readonly DaneHost[]

  constructor(hosts: readonly DaneHost[]) {
    this.#hosts = hosts
  }

  host(id: HostId): DaneHost {
    const found = this.#hosts.find((host) => host.id === id)
    if (found === undefined) throw new RangeError(`no host ${id}`)
    return found
  }

  address(id: HostId): string {
    return this.host(id).listen.join()
  }

  /** `3 1 1` of a host's own certificate, or of another of its certificates. */
  tlsa(id: HostId, fields = '3 1 1', of: keyof DaneHost['certificates'] = 'own'): string {
    return `TLSA ${tlsaData(fields, this.host(id).certificates[of])}`
  }

  /** Adds records to a zone: `owner type data`. */
  records(zone: ZoneName, ...lines: string[]): void {
    this.zones[zone].push(...lines)
  }

  /** Adds a domain with its expected outcome; the caller adds its records. */
  expect(name: string, expected: DaneOutcome, more: Partial<DaneDomain> = {}): void {
    this.domains.push({ name, expected, ...more })
  }

  /**
   * Adds a domain in signed.lab with an MX host of its own name, at the address of a server, and
   * with these TLSA records.
   */
  usual(
    label: string,
    { at, tlsa, ...expected }: Omit<DaneDomain, 'name'> & { at: HostId; tlsa: string[] },
  ): void {
    this.records(
      HOST_ZONE,
      `${label} MX 10 mx-${label}`,
      `mx-${label} A ${this.address(at)}`,
      ...tlsa.map((record) => `_25._tcp.mx-${label} ${record}`),
    )
    this.expect(`${label}.${HOST_ZONE}`, expected.expected, expected)
  }
}

const MISMATCH = { expected: 'refused', reason: 'tlsa-mismatch' } as const
const DANE = { expected: 'dane' } as const
const OPPORTUNISTIC = { expected: 'opportunistic' } as const

function fill(table: Table): void {
  table.records(
    'lab',
    `${NS.good} A @good`,
    `${NS.lame} A @lame`,
    `${NS.silent} A @silent`,
    ...ZONES.filter((zone) => /^[a-z]+\.lab$/.test(zone)).map((zone) => `${zone}. NS ${NS.good}`),
  )
  endEntity(table)
  anchors(table)
  tls(table)
  insecure(table)
  failing(table)
  aliases(table)
  others(table)
}

/** DANE-EE records: RFC 7672 §3.1.1, §3.1.3; RFC 7671 §8, §9. */
function endEntity(t: Table): void {
  t.usual('postfix-311', { at: 'postfix', tlsa: [t.tlsa('postfix')], ...DANE })
  t.usual('exim-311', { at: 'exim', tlsa: [t.tlsa('exim')], ...DANE })
  t.usual('ee-301', { at: 'postfix', tlsa: [t.tlsa('postfix', '3 0 1')], ...DANE })
  t.usual('ee-312', { at: 'exim', tlsa: [t.tlsa('exim', '3 1 2')], ...DANE })
  t.usual('ee-300', { at: 'postfix', tlsa: [t.tlsa('postfix', '3 0 0')], ...DANE })
  t.usual('ee-expired', { at: 'expired', tlsa: [t.tlsa('expired')], ...DANE })
  t.usual('ee-wrong-name', { at: 'wrongName', tlsa: [t.tlsa('wrongName')], ...DANE })
  t.usual('ee-self-signed', { at: 'selfSigned', tlsa: [t.tlsa('selfSigned')], ...DANE })
  // The hosts of the lab share a key: the other key is that of the intermediate
  const otherKey = t.tlsa('chain', '3 1 1', 'intermediate')
  t.usual('rollover', { at: 'postfix', tlsa: [otherKey, t.tlsa('postfix')], ...DANE })
  t.usual('old-key', { at: 'postfix', tlsa: [otherKey], ...MISMATCH })
  t.usual('trusted-but-old-key', { at: 'chain', tlsa: [otherKey], ...MISMATCH })
  t.usual('agility', {
    at: 'exim',
    tlsa: [t.tlsa('chain', '3 1 2', 'intermediate'), t.tlsa('exim')],
    ...MISMATCH,
  })
  t.usual('pkix-only', { at: 'postfix', tlsa: [t.tlsa('postfix', '1 1 1')], expected: 'tls' })
  t.usual('pkix-beside', {
    at: 'postfix',
    tlsa: [t.tlsa('postfix', '1 1 1'), otherKey],
    ...MISMATCH,
  })
}

/** DANE-TA records: RFC 7672 §3.1.2, RFC 7671 §5.2. */
function anchors(t: Table): void {
  const named = (name: string) => t.records(HOST_ZONE, name)
  // The certificate has the server's name, which is the MX host here
  const at = (label: string, id: HostId, records: string[], rest: Omit<DaneDomain, 'name'>) => {
    named(`${label} MX 10 mx-${label}`)
    named(`mx-${label} A ${t.address(id)}`)
    for (const record of records) named(`_25._tcp.mx-${label} ${record}`)
    t.expect(`${label}.${HOST_ZONE}`, rest.expected, rest)
  }
  named(`${t.host('chain').label} A ${t.address('chain')}`)
  named(`_25._tcp.${t.host('chain').label} ${t.tlsa('chain', '2 0 1', 'intermediate')}`)
  named(`ta-201 MX 10 ${t.host('chain').label}`)
  t.expect(`ta-201.${HOST_ZONE}`, 'dane')
  at('ta-other-name', 'chain', [t.tlsa('chain', '2 1 1', 'intermediate')], { expected: 'refused' })
  const { label: rootless } = t.host('rootless')
  named(`${rootless} A ${t.address('rootless')}`)
  named(`_25._tcp.${rootless} ${t.tlsa('rootless', '2 0 1', 'root')}`)
  named(`ta-root-not-sent MX 10 ${rootless}`)
  t.expect(`ta-root-not-sent.${HOST_ZONE}`, 'refused', { reason: 'tlsa-mismatch' })
  named(`${t.host('leafOnly').label} A ${t.address('leafOnly')}`)
  named(`_25._tcp.${t.host('leafOnly').label} ${t.tlsa('chain', '2 0 0', 'intermediate')}`)
  named(`ta-200-not-sent MX 10 ${t.host('leafOnly').label}`)
  t.expect(`ta-200-not-sent.${HOST_ZONE}`, 'dane')
  at('ta-wrong-name', 'chainWrongName', [t.tlsa('chain', '2 1 1', 'intermediate')], {
    expected: 'refused',
  })
}

/** Missing TLS, or TLS that depends on SNI. */
function tls(t: Table): void {
  t.usual('no-starttls', { at: 'plaintext', tlsa: [t.tlsa('postfix')], expected: 'refused' })
  t.usual('no-starttls-pkix', {
    at: 'plaintext',
    tlsa: [t.tlsa('postfix', '0 0 1')],
    expected: 'refused',
  })
  t.usual('starttls-454', { at: 'broken', tlsa: [t.tlsa('postfix')], expected: 'refused' })
  t.usual('no-starttls-no-tlsa', { at: 'plaintext', tlsa: [], ...OPPORTUNISTIC })
  const { label } = t.host('bySni')
  t.records(
    HOST_ZONE,
    `${label} A ${t.address('bySni')}`,
    `_25._tcp.${label} ${t.tlsa('bySni', '3 0 1')}`,
    `sni MX 10 ${label}`,
    `sni-alias MX 10 mx-sni-alias`,
    `mx-sni-alias CNAME ${label}`,
  )
  t.expect(`sni.${HOST_ZONE}`, 'dane')
  t.expect(`sni-alias.${HOST_ZONE}`, 'dane')
}

/** Answers without a proof by DNSSEC: RFC 7672 §2.1.1, §2.2.1. */
function insecure(t: Table): void {
  const good = t.tlsa('postfix')
  const otherKey = t.tlsa('chain', '3 1 1', 'intermediate')
  t.usual('no-tlsa', { at: 'postfix', tlsa: [], ...OPPORTUNISTIC })
  t.usual('nodata-tlsa', { at: 'exim', tlsa: ['TXT "no TLSA here"'], ...OPPORTUNISTIC })
  t.records(
    'unsigned.lab',
    `mx A ${t.address('postfix')}`,
    `_25._tcp.mx ${otherKey}`,
    `insecure-mx MX 10 postfix-311-mx.${HOST_ZONE}.`,
    'unsigned MX 10 mx',
    `alias CNAME mx-postfix-311.${HOST_ZONE}.`,
  )
  t.records(
    HOST_ZONE,
    `postfix-311-mx A ${t.address('postfix')}`,
    `_25._tcp.postfix-311-mx ${otherKey}`,
    'insecure-a MX 10 mx.unsigned.lab.',
  )
  t.expect('insecure-mx.unsigned.lab', 'opportunistic', {
    oracle: { verdict: 'refused', because: 'Postfix asks hosts of insecure MX records too' },
  })
  t.expect('unsigned.unsigned.lab', 'opportunistic')
  t.expect(`insecure-a.${HOST_ZONE}`, 'opportunistic')
  t.records(
    'optout.lab',
    '@ MX 10 mx',
    `mx A ${t.address('postfix')}`,
    `_25._tcp.mx ${good}`,
    'none MX 10 mx-none',
    `mx-none A ${t.address('postfix')}`,
    `child NS ${NS.good}`,
  )
  t.expect('optout.lab', 'dane')
  t.expect('none.optout.lab', 'opportunistic')
  t.records(
    'child.optout.lab',
    '@ MX 10 mx',
    `mx A ${t.address('postfix')}`,
    `_25._tcp.mx ${otherKey}`,
  )
  t.expect('child.optout.lab', 'opportunistic')
}

/** Lookups that fail: RFC 7672 §2.1.2, §2.2. */
function failing(t: Table): void {
  const good = t.tlsa('postfix')
  t.usual('bogus-tlsa', {
    at: 'postfix',
    tlsa: [good],
    expected: 'refused',
    reason: 'dnssec-bogus',
  })
  t.usual('bogus-a', { at: 'postfix', tlsa: [good], expected: 'deferred' })
  t.records(HOST_ZONE, 'bogus-mx MX 10 mx-postfix-311')
  t.expect(`bogus-mx.${HOST_ZONE}`, 'deferred')
  for (const zone of ['bogus.lab', 'expired.lab'] as const) {
    t.records(zone, '@ MX 10 mx', `mx A ${t.address('postfix')}`, `_25._tcp.mx ${good}`)
    t.expect(zone, 'deferred')
    t.records(HOST_ZONE, `mx-in-${zone.slice(0, -4)} MX 10 mx.${zone}.`)
    t.expect(`mx-in-${zone}`.replace('.lab', `.${HOST_ZONE}`), 'deferred')
  }
  for (const [label, server] of [
    ['lame-tlsa', NS.lame],
    ['silent-tlsa', NS.silent],
  ] as const) {
    t.usual(label, {
      at: 'postfix',
      tlsa: [],
      expected: 'refused',
      reason: 'tlsa-lookup-failed',
    })
    t.records(HOST_ZONE, `_tcp.mx-${label} NS ${server}`)
  }
  t.records(
    HOST_ZONE,
    'second-host MX 10 mx-lame-tlsa',
    'second-host MX 20 mx-exim-311',
    'second-host-plain MX 10 mx-old-key',
    'second-host-plain MX 20 mx-no-tlsa',
  )
  t.expect(`second-host.${HOST_ZONE}`, 'dane')
  t.expect(`second-host-plain.${HOST_ZONE}`, 'opportunistic', {
    oracle: { verdict: 'refused', because: 'it stops at the first host that it reaches' },
  })
}

/** MX hosts and domains that are aliases: RFC 7672 §2.1.3, §2.2.3. */
function aliases(t: Table): void {
  const good = t.tlsa('postfix')
  const otherKey = t.tlsa('chain', '3 1 1', 'intermediate')
  t.records(
    HOST_ZONE,
    'alias-mx MX 10 mx-alias',
    'mx-alias CNAME mx-postfix-311',
    'alias-both MX 10 mx-alias-both',
    'mx-alias-both CNAME mx-postfix-311',
    `_25._tcp.mx-alias-both ${otherKey}`,
    'alias-original MX 10 mx-alias-original',
    'mx-alias-original CNAME mx-no-tlsa',
    `_25._tcp.mx-alias-original ${good}`,
    'alias-to-insecure MX 10 mx-alias-to-insecure',
    'mx-alias-to-insecure CNAME mx.unsigned.lab.',
    `_25._tcp.mx-alias-to-insecure ${good}`,
    'alias-from-insecure MX 10 alias.unsigned.lab.',
    'alias-to-lame MX 10 mx-alias-to-lame',
    'mx-alias-to-lame CNAME mx-lame-tlsa',
    `_25._tcp.mx-alias-to-lame ${good}`,
    'alias-domain CNAME postfix-311',
    'tlsa-alias MX 10 mx-tlsa-alias',
    `mx-tlsa-alias A ${t.address('postfix')}`,
    '_25._tcp.mx-tlsa-alias CNAME shared-tlsa',
    `shared-tlsa ${good}`,
    'tlsa-alias-insecure MX 10 mx-tlsa-alias-insecure',
    `mx-tlsa-alias-insecure A ${t.address('postfix')}`,
    '_25._tcp.mx-tlsa-alias-insecure CNAME _25._tcp.mx.unsigned.lab.',
  )
  t.expect(`alias-mx.${HOST_ZONE}`, 'dane')
  t.expect(`alias-both.${HOST_ZONE}`, 'dane')
  t.expect(`alias-original.${HOST_ZONE}`, 'dane')
  t.expect(`alias-to-insecure.${HOST_ZONE}`, 'dane')
  t.expect(`alias-from-insecure.${HOST_ZONE}`, 'opportunistic')
  t.expect(`alias-to-lame.${HOST_ZONE}`, 'refused', { reason: 'tlsa-lookup-failed' })
  t.expect(`alias-domain.${HOST_ZONE}`, 'dane')
  t.expect(`tlsa-alias.${HOST_ZONE}`, 'dane')
  t.expect(`tlsa-alias-insecure.${HOST_ZONE}`, 'opportunistic')
}

/** Wildcards, domains without MX records, and answers too large for a datagram. */
function others(t: Table): void {
  const good = t.tlsa('postfix')
  t.records(
    HOST_ZONE,
    'wildcard-tlsa MX 10 mx-wildcard',
    `mx-wildcard A ${t.address('postfix')}`,
    `*._tcp.mx-wildcard ${good}`,
    'wildcard-host MX 10 any.wild',
    `*.wild A ${t.address('exim')}`,
    'null-mx MX 0 .',
    `no-mx A ${t.address('postfix')}`,
    `_25._tcp.no-mx ${good}`,
    'no-address MX 10 mx-nowhere',
    'large MX 10 mx-large',
    `mx-large A ${t.address('postfix')}`,
    ...(['2 0 0', '3 0 0'] as const).map((f) => `_25._tcp.mx-large ${t.tlsa('chain', f, 'root')}`),
    ...(['2 0 0', '3 0 0', '2 1 0'] as const).map(
      (f) => `_25._tcp.mx-large ${t.tlsa('chain', f, 'intermediate')}`,
    ),
    `_25._tcp.mx-large ${good}`,
  )
  t.expect(`wildcard-tlsa.${HOST_ZONE}`, 'dane')
  // A wildcard for addresses: `_25._tcp.any.wild` matches it too, and has no TLSA records
  t.expect(`wildcard-host.${HOST_ZONE}`, 'opportunistic')
  t.expect(`null-mx.${HOST_ZONE}`, 'bounced')
  t.expect(`no-mx.${HOST_ZONE}`, 'dane')
  t.expect(`no-address.${HOST_ZONE}`, 'deferred', {
    oracle: { verdict: 'bounced', because: 'an MX host that does not exist is final to it' },
  })
  t.expect(`large.${HOST_ZONE}`, 'dane')
}
