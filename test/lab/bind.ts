/**
 * BIND: a root zone, `example`, and a zone for each domain of the table; all on one server.
 *
 * @module
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ADDRESSES, type Namespace } from './network.js'
import { nameOf, type PlacedDomain, type PlacedHost } from './placement.js'
import { Daemon } from './shell.js'

/** Everything may be cached for an hour; changes during a run are flushed from the resolver. */
const SOA = '@ 3600 SOA ns.example. hostmaster.example. 1 3600 600 86400 3600'

export class Bind {
  readonly #namespace: Namespace
  readonly #directory: string
  #daemon: Daemon | undefined

  constructor(namespace: Namespace, directory: string) {
    this.#namespace = namespace
    this.#directory = directory
  }

  async start(domains: readonly PlacedDomain[]): Promise<void> {
    const directory = this.#directory
    await mkdir(directory, { recursive: true })
    const zones = new Map([
      ['.', rootZone()],
      ['example', exampleZone(domains)],
      ...domains.filter(isServed).map((domain) => [domain.name, zoneOf(domain)] as const),
    ])
    for (const [name, records] of zones) {
      await writeFile(join(directory, fileOf(name)), `${records.join('\n')}\n`)
    }
    const config = join(directory, 'named.conf')
    await writeFile(config, configOf(directory, [...zones.keys()]))
    const command = this.#namespace.command('named', '-f', '-4', '-n', '1', '-c', config)
    this.#daemon = new Daemon('named', command, join(directory, 'output'))
    await this.#namespace.listening(ADDRESSES.bind, 53, this.#daemon)
  }

  /** Replaces the TXT records at `_mta-sts.` + domain; null: removes them. */
  async changeTxt({ name }: PlacedDomain, txt: string | null): Promise<void> {
    const owner = `_mta-sts.${name}.`
    const commands = [
      `server ${ADDRESSES.bind}`,
      `zone ${name}.`,
      `update delete ${owner} TXT`,
      ...(txt === null ? [] : [`update add ${owner} 3600 TXT ${quoted(txt)}`]),
      'send',
    ]
    await this.#namespace.run('nsupdate', [], `${commands.join('\n')}\n`)
  }

  async stop(): Promise<void> {
    await this.#daemon?.stop()
  }
}

function configOf(directory: string, zones: readonly string[]): string {
  return `
    options {
      directory "${directory}";
      pid-file none;
      session-keyfile none;
      listen-on { ${ADDRESSES.bind}; ${ADDRESSES.lame}; };
      listen-on-v6 { none; };
      recursion no;
      dnssec-validation no;
      notify no;
      check-integrity no;
      allow-update { ${ADDRESSES.bind}; };
    };
    controls { };
    view "lame" { match-destinations { ${ADDRESSES.lame}; }; };
    view "lab" {
      ${zones.map((name) => `zone "${name}" { type primary; file "${fileOf(name)}"; };`).join('\n')}
    };
  `
}

const fileOf = (zone: string) => `${zone === '.' ? 'root' : zone}.zone`

const isServed = ({ spec: { mx } }: PlacedDomain) =>
  mx !== 'lame' && mx !== 'dead' && mx !== 'nxdomain'

function rootZone(): string[] {
  return [SOA, '@ 3600 NS ns.example.', 'example. 3600 NS ns.example.', GLUE]
}

const GLUE = `ns.example. 3600 A ${ADDRESSES.bind}`

/** Delegates every domain; a lame one to a server without such a zone. */
function exampleZone(domains: readonly PlacedDomain[]): string[] {
  const delegations = domains
    .filter(({ spec }) => spec.mx !== 'nxdomain')
    .map(({ name, spec: { mx } }) => {
      const server = mx === 'dead' || mx === 'lame' ? OUT_OF_ORDER[mx] : 'ns.example.'
      return `${name}. 3600 NS ${server}`
    })
  return [
    SOA,
    '@ 3600 NS ns.example.',
    GLUE,
    `${OUT_OF_ORDER.dead} 3600 A ${ADDRESSES.dead}`,
    `${OUT_OF_ORDER.lame} 3600 A ${ADDRESSES.lame}`,
    ...delegations,
  ]
}

/** Name servers that do not answer, and that refuse. */
const OUT_OF_ORDER = { dead: 'ns-dead.example.', lame: 'ns-lame.example.' }

function zoneOf(domain: PlacedDomain): string[] {
  return [
    SOA,
    '@ 3600 NS ns.example.',
    ...txtRecords(domain),
    ...policyHostRecords(domain),
    ...mxRecords(domain),
    ...domain.hosts.flatMap((host) => hostRecords(host, domain.name)),
  ]
}

function txtRecords({ name, spec }: PlacedDomain): string[] {
  const owner = `_mta-sts.${name}.`
  const txt = spec.txt ?? (spec.policy ? { records: [['v=STSv1; id=1;']] } : { records: [] })
  const record = (at: string, strings: readonly string[]) =>
    `${at} 3600 TXT ${strings.map(quoted).join(' ')}`
  if (txt === 'dead' || txt === 'lame') return [`${owner} 3600 NS ${OUT_OF_ORDER[txt]}`]
  if ('records' in txt) return txt.records.map((strings) => record(owner, strings))
  const other = `elsewhere.${name}.`
  return [`${owner} 3600 CNAME ${other}`, record(other, txt.cname)]
}

function policyHostRecords({ policyHost, policyAddresses, spec }: PlacedDomain): string[] {
  if (spec.policy?.host === 'dead-dns') return [`${policyHost}. 3600 NS ${OUT_OF_ORDER.dead}`]
  return addressRecords(policyHost, policyAddresses)
}

function mxRecords({ name, spec, hosts }: PlacedDomain): string[] {
  if (spec.mx === 'null') return [`${name}. 3600 MX 0 .`]
  return hosts
    .filter((host) => host.label !== spec.itself?.label)
    .map((host, index) => {
      const { preference = 10 * (index + 1) } = host
      return `${name}. 3600 MX ${preference} ${host.name}.`
    })
}

function hostRecords(host: PlacedHost, domain: string): string[] {
  if (host.address === 'dead-dns') return [`${host.name}. 3600 NS ${OUT_OF_ORDER.dead}`]
  if (host.cname === undefined) return addressRecords(host.name, host)
  const real = nameOf(host.cname, domain)
  return [`${host.name}. 3600 CNAME ${real}.`, ...addressRecords(real, host)]
}

function addressRecords(name: string, addresses: { ipv4: string[]; ipv6: string[] }): string[] {
  return [
    ...addresses.ipv4.map((address) => `${name}. 3600 A ${address}`),
    ...addresses.ipv6.map((address) => `${name}. 3600 AAAA ${address}`),
  ]
}

const quoted = (text: string) => `"${text}"`
