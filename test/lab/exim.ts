/**
 * Exim: one daemon at all addresses of its MX hosts. Name, certificate and TLS behaviour of a host
 * are looked up by the connected address.
 *
 * @module
 */
import { chown, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Certificates } from './certificates.js'
import { MAIL_UID, type Mailboxes } from './mailboxes.js'
import type { Namespace } from './network.js'
import type { PlacedHost } from './placement.js'
import { Daemon } from './shell.js'

/** The unpacked Debian package from `install.sh`, which cannot be installed beside Postfix. */
export const EXIM = '/opt/mta-sts-lab/exim/usr/sbin/exim4'

/** The user that Debian's Exim is built for. */
const USER = 'Debian-exim'

export class Exim {
  readonly log: string
  readonly #namespace: Namespace
  readonly #directory: string
  #addresses: readonly string[] = []
  #daemon: Daemon | undefined

  constructor(namespace: Namespace, directory: string) {
    this.#namespace = namespace
    this.#directory = directory
    this.log = join(directory, 'log', 'mainlog')
  }

  async configure(
    hosts: readonly PlacedHost[],
    mailboxes: { domains: readonly string[]; mail: Mailboxes },
    certificates: Certificates,
  ): Promise<void> {
    const own = hosts.filter(({ server }) => server === 'exim')
    const ipv6 = own.find(({ listen }) => listen.some((address) => address.includes(':')))
    if (ipv6) throw new Error(`${ipv6.name}: Exim is looked after at IPv4 addresses only`)
    this.#addresses = own.flatMap(({ listen }) => listen)
    await this.#makeUser()
    for (const folder of ['', 'log', 'spool']) {
      const path = join(this.#directory, folder)
      await mkdir(path, { recursive: true })
      await chown(path, MAIL_UID, MAIL_UID)
    }
    const lines: string[] = []
    for (const host of own) {
      const certificate = await certificates.file(named(host), host.certificate)
      const wrong = await certificates.file(named(host), 'wrong-name')
      for (const address of host.listen) {
        lines.push(
          `${address}: name=${host.name} tls=${host.tls} cert=${certificate} wrong=${wrong}`,
        )
      }
    }
    await writeFile(join(this.#directory, 'hosts'), `${lines.join('\n')}\n`)
    await writeFile(
      join(this.#directory, 'domains'),
      `${mailboxes.domains.map((domain) => `${domain}: ${domain}`).join('\n')}\n`,
    )
    const config = configOf(this.#directory, mailboxes.mail.directory, this.#addresses)
    await writeFile(join(this.#directory, 'exim.conf'), config)
  }

  async start(): Promise<void> {
    if (this.#addresses.length === 0) return
    const config = join(this.#directory, 'exim.conf')
    const command = this.#namespace.command(EXIM, '-C', config, '-bdf')
    const daemon = new Daemon('exim', command, join(this.#directory, 'output'))
    this.#daemon = daemon
    for (const address of this.#addresses) await this.#namespace.listening(address, 25, daemon)
  }

  async stop(): Promise<void> {
    await this.#daemon?.stop()
  }

  /** Creates an account that exists only in the namespace. */
  async #makeUser(): Promise<void> {
    const etc = join('/etc/netns', this.#namespace.name)
    const passwd = await readFile('/etc/passwd', 'utf8')
    const group = await readFile('/etc/group', 'utf8')
    const without = (text: string) => text.replace(new RegExp(`^${USER}:.*\n`, 'm'), '')
    const home = '/nonexistent:/usr/sbin/nologin'
    await writeFile(
      join(etc, 'passwd'),
      `${without(passwd)}${USER}:x:${MAIL_UID}:${MAIL_UID}::${home}\n`,
    )
    await writeFile(join(etc, 'group'), `${without(group)}${USER}:x:${MAIL_UID}:\n`)
  }
}

const named = ({ name, ipv4 }: PlacedHost) => ({ name, ipv4: ipv4[0] ?? '192.0.2.1' })

function configOf(directory: string, mail: string, addresses: readonly string[]): string {
  const of = (field: string) =>
    `\${extract{${field}}{\${lookup{$received_ip_address}lsearch{${directory}/hosts}}}}`
  const isHabit = (habit: string) => `eq{${of('tls')}}{${habit}}`
  return `
spool_directory = ${directory}/spool
log_file_path = ${directory}/log/%slog
pid_file_path = ${directory}/pid
local_interfaces = <; ${addresses.join(' ; ')}
daemon_smtp_ports = 25
primary_hostname = exim.example
smtp_active_hostname = ${of('name')}
received_header_text = Received: from $sender_helo_name ([$sender_host_address]) \\
  by $smtp_active_hostname with $received_protocol id $message_exim_id
keep_environment =
deliver_drop_privilege
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 0
smtp_accept_queue = 0
smtp_accept_queue_per_connection = 0
log_selector = +incoming_interface +incoming_port +smtp_connection +smtp_no_mail \\
  +smtp_incomplete_transaction +smtp_protocol_error +smtp_syntax_error +tls_cipher +tls_sni
tls_advertise_hosts = \${if ${isHabit('none')}{}{*}}
tls_certificate = \${if ${isHabit('answered-454')}{${directory}/no-such-file.pem}{\\
  \${if and{{${isHabit('by-sni')}}{!eq{$tls_in_sni}{${of('name')}}}}{${of('wrong')}}{${of('cert')}}}}}
tls_require_ciphers = \${if ${isHabit('tls-1.1')}{NORMAL:-VERS-ALL:+VERS-TLS1.1}{NORMAL}}
pipelining_advertise_hosts = \${if ${isHabit('no-pipelining')}{}{*}}
dsn_advertise_hosts = \${if and{{${isHabit('dsn-before-tls')}}{!def:tls_in_cipher}}{*}{}}
acl_smtp_mail = mail
acl_smtp_rcpt = rcpt

begin acl
mail:
  deny condition = \${if ${isHabit('mandatory')}}
       !encrypted = *
       message = Must issue a STARTTLS command first
  accept
rcpt:
  accept domains = lsearch;${directory}/domains
  deny

begin routers
mailbox:
  driver = accept
  domains = lsearch;${directory}/domains
  transport = maildir

begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = ${mail}/$domain_data
  create_directory

begin rewrite
`
}
