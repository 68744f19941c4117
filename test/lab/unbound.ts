/**
 * Unbound: the sender's resolver, which has only the lab's own root server.
 *
 * @module
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ADDRESSES, type Namespace } from './network.js'
import { Daemon } from './shell.js'

export class Unbound {
  readonly #namespace: Namespace
  readonly #directory: string
  readonly #config: string
  #daemon: Daemon | undefined

  constructor(namespace: Namespace, directory: string) {
    this.#namespace = namespace
    this.#directory = directory
    this.#config = join(directory, 'unbound.conf')
  }

  async start(): Promise<void> {
    const directory = this.#directory
    await mkdir(directory, { recursive: true })
    await writeFile(join(directory, 'root.hints'), rootHints())
    await writeFile(this.#config, configOf(directory))
    const command = this.#namespace.command('unbound', '-d', '-c', this.#config)
    this.#daemon = new Daemon('unbound', command, join(directory, 'output'))
    await this.#namespace.listening(ADDRESSES.unbound, 53, this.#daemon)
  }

  /** Flushes a zone from its cache. */
  async flush(zone: string): Promise<void> {
    await this.#namespace.run('unbound-control', ['-c', this.#config, 'flush_zone', zone])
  }

  async stop(): Promise<void> {
    await this.#daemon?.stop()
  }
}

function rootHints(): string {
  return `. 3600 NS ns.example.\nns.example. 3600 A ${ADDRESSES.bind}\n`
}

function configOf(directory: string): string {
  return `
server:
  directory: "${directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: "${directory}/log"
  interface: ${ADDRESSES.unbound}
  access-control: ${ADDRESSES.sender.ipv4}/32 allow
  do-ip6: no
  module-config: "iterator"
  root-hints: "${directory}/root.hints"
  num-threads: 1
remote-control:
  control-enable: yes
  control-interface: "${directory}/control"
  control-use-cert: no
`
}
