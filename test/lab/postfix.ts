/**
 * Postfix: one instance with a listener for each MX host, with its own name, certificate and TLS
 * level; the log has its name.
 *
 * @module
 */
import { chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Certificates } from './certificates.js'
import { MAIL_UID, type Mailboxes } from './mailboxes.js'
import type { Namespace } from './network.js'
import type { PlacedHost } from './placement.js'
import { Daemon, run } from './shell.js'

export class Postfix {
  readonly log: string
  readonly #namespace: Namespace
  readonly #directory: string
  #listeners: readonly PlacedHost[] = []
  #daemon: Daemon | undefined

  constructor(namespace: Namespace, directory: string) {
    this.#namespace = namespace
    this.#directory = directory
    this.log = join(directory, 'log')
  }

  async configure(
    hosts: readonly PlacedHost[],
    mailboxes: { domains: readonly string[]; mail: Mailboxes },
    certificates: Certificates,
  ): Promise<void> {
    this.#listeners = hosts.filter(({ server }) => server === 'postfix')
    const directory = this.#directory
    for (const folder of ['', 'queue', 'data']) {
      await mkdir(join(directory, folder), { recursive: true })
    }
    await chown(join(directory, 'data'), Number(await run('id', ['-u', 'postfix'])), 0)
    const { domains, mail } = mailboxes
    await this.#write('domains', domains.map((domain) => `${domain} -`).join('\n'))
    await this.#write('mailboxes', domains.map((domain) => `@${domain} ${domain}/`).join('\n'))
    await this.#write('main.cf', mainCf(directory, mail.directory))
    const services: string[] = []
    for (const host of this.#listeners) {
      services.push(...(await this.#services(host, certificates)))
    }
    await this.#write('master.cf', `${services.join('\n')}\n${INTERNAL_SERVICES}`)
  }

  async start(): Promise<void> {
    const command = this.#namespace.command('postfix', '-c', this.#directory, 'start-fg')
    this.#daemon = new Daemon('postfix', command, join(this.#directory, 'output'))
    const last = this.#listeners.at(-1)?.listen.at(-1)
    if (last) await this.#namespace.listening(last, 25, this.#daemon)
  }

  async stop(): Promise<void> {
    await this.#daemon?.stop()
  }

  /** Ends it abruptly. */
  async abort(): Promise<void> {
    await this.#namespace.run('postfix', ['-c', this.#directory, 'abort']).catch(() => undefined)
    await this.#daemon?.stop()
  }

  #write(name: string, text: string): Promise<void> {
    return writeFile(join(this.#directory, name), `${text}\n`)
  }

  /** Returns the lines of master.cf for one MX host. */
  async #services(host: PlacedHost, certificates: Certificates): Promise<string[]> {
    const named = { name: host.name, ipv4: host.ipv4[0] ?? '192.0.2.1' }
    const file = await certificates.file(named, host.certificate)
    const settings = [
      `myhostname=${host.name}`,
      `syslog_name=${host.name}`,
      ...(await this.#tlsSettings(host, file, certificates)),
      ...(host.reply
        ? [`smtpd_recipient_restrictions=check_recipient_access static:{${host.reply}}, reject`]
        : []),
    ]
    return host.listen.map((address) => {
      const at = address.includes(':') ? `[${address}]:25` : `${address}:25`
      const options = settings.map((setting) => `  -o { ${setting} }`)
      return [`${at} inet n - n - - smtpd`, ...options].join('\n')
    })
  }

  async #tlsSettings(
    host: PlacedHost,
    certificate: string,
    certificates: Certificates,
  ): Promise<string[]> {
    const level = { none: 'none', mandatory: 'encrypt' }[host.tls as string] ?? 'may'
    const settings = [`smtpd_tls_security_level=${level}`]
    switch (host.tls) {
      case 'none':
        return settings
      case 'no-certificate':
        return [...settings, `smtpd_tls_chain_files=${this.#directory}/no-such-file.pem`]
      case 'answered-454':
        // Postfix still offers STARTTLS, and then finds that it cannot
        return [...settings, `smtpd_tls_chain_files=${certificate}`, 'smtpd_tls_protocols=nonsense']
      case 'no-pipelining':
        return [
          ...settings,
          `smtpd_tls_chain_files=${certificate}`,
          'smtpd_discard_ehlo_keywords=pipelining',
        ]
      case 'tls-1.1':
        return [
          ...settings,
          `smtpd_tls_chain_files=${certificate}`,
          'smtpd_tls_protocols=TLSv1.1',
          'tls_medium_cipherlist=DEFAULT@SECLEVEL=0',
        ]
      case 'by-sni': {
        const other = { name: host.name, ipv4: host.ipv4[0] ?? '' }
        const wrong = await certificates.file(other, 'wrong-name')
        const map = `sni-${host.name}`
        await this.#write(map, `${host.name} ${certificate}`)
        const path = join(this.#directory, map)
        await run('postmap', ['-c', this.#directory, '-F', `hash:${path}`])
        return [...settings, `smtpd_tls_chain_files=${wrong}`, `tls_server_sni_maps=hash:${path}`]
      }
      default:
        return [...settings, `smtpd_tls_chain_files=${certificate}`]
    }
  }
}

function mainCf(directory: string, mail: string): string {
  return `
compatibility_level = 3.6
queue_directory = ${directory}/queue
data_directory = ${directory}/data
maillog_file = ${directory}/log
maillog_file_prefixes = ${directory}
myhostname = postfix.example
mydestination =
alias_maps =
mynetworks =
notify_classes =
inet_protocols = all
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
virtual_mailbox_domains = texthash:${directory}/domains
virtual_mailbox_base = ${mail}
virtual_mailbox_maps = texthash:${directory}/mailboxes
virtual_uid_maps = static:${MAIL_UID}
virtual_gid_maps = static:${MAIL_UID}
`
}

const INTERNAL_SERVICES = `
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
proxymap  unix  - - n - - proxymap
proxywrite unix - - n - 1 proxymap
error     unix  - - n - - error
retry     unix  - - n - - error
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
`
