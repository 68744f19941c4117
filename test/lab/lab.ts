/**
 * The whole lab: the network, its servers, and the tested package.
 *
 * @module
 */
import { readdirSync, rmSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CheckReport } from '../../src/cli/check/findings.js'
import { Bind } from './bind.js'
import { Certificates } from './certificates.js'
import { checkFrom } from './check.js'
import { Exim } from './exim.js'
import { Mailboxes } from './mailboxes.js'
import { eximSessions, type MxSession, postfixSessions, readLog } from './mx-log.js'
import {
  ADDRESSES,
  createNetwork,
  isAlive,
  type Network,
  removeNetwork,
  removeStaleNetworks,
} from './network.js'
import { Nginx } from './nginx.js'
import { installPackage } from './package.js'
import { type PlacedDomain, place } from './placement.js'
import { Postfix } from './postfix.js'
import { Sender } from './sender.js'
import { Daemon, endPrograms } from './shell.js'
import { Unbound } from './unbound.js'
import type { LabDomain } from './vocabulary.js'

/** Prefix of the lab's folders, before the process id. */
export const LAB_DIRECTORY = 'mtasts-lab-'

export class Lab {
  readonly domains: readonly PlacedDomain[]
  readonly mail: Mailboxes
  readonly bind: Bind
  readonly unbound: Unbound
  readonly nginx: Nginx
  /** Of the policy hosts that go down */
  readonly mortalNginx: Nginx
  readonly postfix: Postfix
  readonly exim: Exim
  readonly #network: Network
  readonly #directory: string
  readonly #certificates: Certificates
  #package = ''

  private constructor(
    domains: readonly PlacedDomain[],
    { network, directory }: { network: Network; directory: string },
    certificates: Certificates,
  ) {
    const { servers } = network
    this.domains = domains
    this.#network = network
    this.#directory = directory
    this.#certificates = certificates
    const { ipv4, ipv6 } = ADDRESSES.policyHosts
    const mortal = [ADDRESSES.mortalPolicyHosts]
    this.mail = new Mailboxes(join(directory, 'mail'))
    this.bind = new Bind(servers, join(directory, 'bind'))
    this.unbound = new Unbound(servers, join(directory, 'unbound'))
    this.nginx = new Nginx(servers, join(directory, 'nginx'), [ipv4, ipv6])
    this.mortalNginx = new Nginx(servers, join(directory, 'nginx-mortal'), mortal)
    this.postfix = new Postfix(servers, join(directory, 'postfix'))
    this.exim = new Exim(servers, join(directory, 'exim'))
  }

  /** Builds and packs the package, and starts every server. */
  static async create(table: readonly LabDomain[]): Promise<Lab> {
    removeStale()
    const directory = await mkdtemp(join(tmpdir(), `${LAB_DIRECTORY}${process.pid}-`))
    // The servers have their own users
    await chmod(directory, 0o755)
    const { domains, addresses } = place(table)
    const packing = installPackage(directory)
    packing.catch(() => undefined)
    const network = await createNetwork(addresses)
    await mkdir(join(directory, 'certificates'))
    const certificates = await Certificates.create(join(directory, 'certificates'))
    const lab = new Lab(domains, { network, directory }, certificates)
    await lab.#start()
    lab.#package = await packing
    return lab
  }

  async #start(): Promise<void> {
    const domains = [...new Set(this.domains.map(({ mailbox }) => mailbox))]
    const hosts = this.domains.flatMap((domain) => domain.hosts)
    await this.mail.create(domains)
    const mailboxes = { domains, mail: this.mail }
    await this.nginx.configure(this.domains, this.#certificates)
    await this.mortalNginx.configure(this.domains, this.#certificates)
    await this.postfix.configure(hosts, mailboxes, this.#certificates)
    await this.exim.configure(hosts, mailboxes, this.#certificates)
    await Promise.all([
      this.bind.start(this.domains),
      this.nginx.start(),
      this.mortalNginx.start(),
      this.postfix.start(),
      this.exim.start(),
      this.#startAttackers(),
    ])
    await this.unbound.start()
  }

  /** A new process with an empty cache; with `store`, it caches policies in this file too. */
  sender(store?: string): Sender {
    const { rootFile } = this.#certificates
    return new Sender(this.#network.sender, { folder: this.#package, rootFile, store })
  }

  /** The reports of `mta-sts check --connect` from the sender's side, by domain. */
  async check(names: readonly string[], store?: string): Promise<Map<string, CheckReport>> {
    return checkFrom(this.#network.sender, names, {
      folder: this.#package,
      rootFile: this.#certificates.rootFile,
      options: store === undefined ? [] : ['--store', `sqlite:${store}`],
    })
  }

  /** The standard error of the senders, which should be empty. */
  async senderErrors(): Promise<string> {
    return (await readFile(join(this.#package, 'stderr'), 'utf8')).trim()
  }

  /** All sessions of the MX hosts so far. */
  async sessions(): Promise<MxSession[]> {
    const hosts = this.domains.flatMap((domain) => domain.hosts)
    const nameOf = (address: string) =>
      hosts.find(({ listen }) => listen.includes(address))?.name ?? address
    return [
      ...postfixSessions(await readLog(this.postfix.log)),
      ...eximSessions(await readLog(this.exim.log), nameOf),
    ]
  }

  async #startAttackers(): Promise<void> {
    const program = fileURLToPath(new URL('attacker.ts', import.meta.url))
    const { servers } = this.#network
    for (const host of this.domains.flatMap((domain) => domain.hosts)) {
      const [address = ''] = host.ipv4
      const [server = ''] = host.listen
      if (!host.attacker) continue
      const line = [process.execPath, '--import', 'tsx', program, host.attacker, address, server]
      const daemon = new Daemon('attacker', servers.command(...line), this.#file('attacker'))
      await servers.listening(address, 25, daemon)
    }
  }

  #file(name: string): string {
    return join(this.#directory, name)
  }
}

/**
 * Removes everything that this process has set up, at any point, synchronously: no other code of
 * the process can set up more meanwhile.
 */
export function removeLab(keep: boolean): void {
  endPrograms()
  removeNetwork()
  if (!keep) removeDirectories((owner) => owner === process.pid)
}

/** Removes the leftovers of runs that were killed. */
function removeStale(): void {
  removeStaleNetworks()
  removeDirectories((owner) => !isAlive(owner))
}

function removeDirectories(belongs: (owner: number) => boolean): void {
  for (const name of readdirSync(tmpdir())) {
    const owner = new RegExp(`^${LAB_DIRECTORY}(\\d+)-`).exec(name)?.[1]
    if (owner === undefined || !belongs(Number(owner))) continue
    // An ending process may still be writing into it
    rmSync(join(tmpdir(), name), { recursive: true, force: true, maxRetries: 20 })
  }
}
