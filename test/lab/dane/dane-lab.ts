/**
 * The DANE part: signed zones on BIND, a validating Unbound on the sender's loopback, Postfix and
 * Exim, and the package.
 *
 * @module
 */
import { chmod, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CheckReport } from '../../../src/cli/check/findings.js'
import { Certificates } from '../certificates.js'
import { checkFrom } from '../check.js'
import { Exim } from '../exim.js'
import { LAB_DIRECTORY } from '../lab.js'
import { Mailboxes } from '../mailboxes.js'
import { ADDRESSES, createNetwork, NETNS_ETC, type Network } from '../network.js'
import { installPackage } from '../package.js'
import { Postfix } from '../postfix.js'
import { Sender } from '../sender.js'
import { Daemon } from '../shell.js'
import { type DaneDomain, daneDomains } from './domains.js'
import { type DaneHost, hostIds, placeHosts } from './hosts.js'
import { type OracleVerdict, posttlsFinger } from './oracle.js'
import { signZones } from './signing.js'

/** The program and packages of a sender with DANE; see `package.ts` */
const SENDER = { program: 'dane/sender.mjs', packages: ['nodemailer', 'dns-packet'] }

const LOOPBACK = '127.0.0.1'

export class DaneLab {
  readonly domains: readonly DaneDomain[]
  readonly mail: Mailboxes
  readonly network: Network
  readonly #folder: string
  readonly #rootFile: string
  readonly #oracleConfig: string

  private constructor(parts: {
    domains: readonly DaneDomain[]
    mail: Mailboxes
    network: Network
    folder: string
    rootFile: string
    oracleConfig: string
  }) {
    this.domains = parts.domains
    this.mail = parts.mail
    this.network = parts.network
    this.#folder = parts.folder
    this.#rootFile = parts.rootFile
    this.#oracleConfig = parts.oracleConfig
  }

  static async create(): Promise<DaneLab> {
    const directory = await mkdtemp(join(tmpdir(), `${LAB_DIRECTORY}${process.pid}-dane-`))
    // The servers have their own users
    await chmod(directory, 0o755)
    const packing = installPackage(directory, SENDER)
    packing.catch(() => undefined)
    const network = await createNetwork(hostIds.length)
    await mkdir(join(directory, 'certificates'))
    const certificates = await Certificates.create(join(directory, 'certificates'))
    const hosts = await placeHosts(certificates)
    const { domains, zones } = daneDomains(hosts)
    await mkdir(join(directory, 'zones'))
    const { files, anchor } = await signZones(join(directory, 'zones'), zones)
    const names = domains.map(({ name }) => name)
    const mail = await startMail(directory, { network, names, hosts, certificates })
    await startNamed(directory, network, files)
    await startUnbound(directory, network, anchor)
    const { rootFile } = certificates
    const oracleConfig = join(directory, 'oracle')
    await mkdir(oracleConfig)
    await writeFile(join(oracleConfig, 'main.cf'), 'compatibility_level = 3.6\n')
    return new DaneLab({ domains, mail, network, folder: await packing, rootFile, oracleConfig })
  }

  sender(): Sender {
    return new Sender(this.network.sender, { folder: this.#folder, rootFile: this.#rootFile })
  }

  /** Postfix's verdict on a domain. */
  async oracle(domain: string): Promise<OracleVerdict> {
    return posttlsFinger(this.network.sender, domain, this.#oracleConfig)
  }

  /** The reports of `mta-sts check --dane --connect` from the sender's side, by domain. */
  async check(names: readonly string[]): Promise<Map<string, CheckReport>> {
    return checkFrom(this.network.sender, names, {
      folder: this.#folder,
      rootFile: this.#rootFile,
      options: ['--dane'],
    })
  }

  async senderErrors(): Promise<string> {
    return (await readFile(join(this.#folder, 'stderr'), 'utf8')).trim()
  }
}

async function startMail(
  directory: string,
  parts: {
    network: Network
    names: readonly string[]
    hosts: readonly DaneHost[]
    certificates: Certificates
  },
): Promise<Mailboxes> {
  const { network, names, hosts, certificates } = parts
  const mail = new Mailboxes(join(directory, 'mail'))
  await mail.create(names)
  const postfix = new Postfix(network.servers, join(directory, 'postfix'))
  const exim = new Exim(network.servers, join(directory, 'exim'))
  for (const server of [postfix, exim]) {
    await server.configure(hosts, { domains: names, mail }, certificates)
    await server.start()
  }
  return mail
}

async function startNamed(
  directory: string,
  { servers }: Network,
  files: ReadonlyMap<string, string>,
): Promise<void> {
  const config = join(directory, 'named.conf')
  const zones = [...files].map(
    ([zone, file]) => `zone "${zone}" { type primary; file "${file}"; };`,
  )
  await writeFile(
    config,
    `
    options {
      directory "${directory}";
      pid-file none;
      session-keyfile none;
      listen-on { ${ADDRESSES.signed}; ${ADDRESSES.lame}; };
      listen-on-v6 { none; };
      recursion no;
      dnssec-validation no;
      notify no;
      check-integrity no;
    };
    controls { };
    view "lame" { match-destinations { ${ADDRESSES.lame}; }; };
    view "lab" { ${zones.join('\n')} };
  `,
  )
  const command = servers.command('named', '-f', '-4', '-n', '1', '-c', config)
  const daemon = new Daemon('named', command, join(directory, 'named.output'))
  await servers.listening(ADDRESSES.signed, 53, daemon)
}

async function startUnbound(directory: string, { sender }: Network, anchor: string): Promise<void> {
  const config = join(directory, 'unbound.conf')
  await writeFile(
    join(directory, 'root.hints'),
    `. 3600 NS ns.lab.\nns.lab. 3600 A ${ADDRESSES.signed}\n`,
  )
  await writeFile(join(directory, 'anchor.key'), `${anchor}\n`)
  await writeFile(
    config,
    `
server:
  directory: "${directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: "${directory}/unbound.log"
  val-log-level: 2
  ede: yes
  interface: ${LOOPBACK}
  do-ip6: no
  do-not-query-localhost: no
  module-config: "validator iterator"
  root-hints: "${directory}/root.hints"
  trust-anchor-file: "${directory}/anchor.key"
  num-threads: 1
remote-control:
  control-enable: no
`,
  )
  // As an operator would write it; glibc hides the AD bit without trust-ad
  await writeFile(
    join(NETNS_ETC, sender.name, 'resolv.conf'),
    `nameserver ${LOOPBACK}\noptions edns0 trust-ad timeout:5 attempts:1\n`,
  )
  const command = sender.command('unbound', '-d', '-c', config)
  const daemon = new Daemon('unbound', command, join(directory, 'unbound.output'))
  await sender.listening(LOOPBACK, 53, daemon)
}
