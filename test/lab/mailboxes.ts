/**
 * The deliveries of Postfix and Exim: a Maildir for each domain.
 *
 * @module
 */
import { chown, mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** An id without an account on the machine; both servers deliver as this user. */
export const MAIL_UID = 61_025

export interface Delivered {
  messageId: string
  /** The host that accepted it from the sender, by its own `Received` */
  by: string
  /** `ESMTPS`, `esmtps`: over TLS */
  over: 'TLS' | 'plaintext'
}

export class Mailboxes {
  readonly directory: string
  /** Files that were read before */
  readonly #known = new Map<string, Delivered>()

  constructor(directory: string) {
    this.directory = directory
  }

  async create(domains: readonly string[]): Promise<void> {
    for (const domain of ['', ...domains]) {
      const path = join(this.directory, domain)
      await mkdir(path, { recursive: true })
      await chown(path, MAIL_UID, MAIL_UID)
    }
  }

  /** Returns all deliveries to a domain so far. */
  async read(domain: string): Promise<Delivered[]> {
    const folder = join(this.directory, domain, 'new')
    const files = await readdir(folder).catch(() => [])
    return Promise.all(
      files.map(async (file) => {
        const path = join(folder, file)
        const delivered = this.#known.get(path) ?? parse(await readFile(path, 'utf8'))
        this.#known.set(path, delivered)
        return delivered
      }),
    )
  }
}

function parse(text: string): Delivered {
  const head = text.slice(0, text.search(/\r?\n\r?\n/)).replace(/\r?\n[ \t]+/g, ' ')
  const messageId = /^Message-ID: <([^>]+)>/im.exec(head)?.[1] ?? ''
  const received = /^Received: .*/im.exec(head)?.[0] ?? ''
  const by = /\bby (\S+)/.exec(received)?.[1] ?? ''
  const protocol = /\bwith (E?SMTPS?)/i.exec(received)?.[1] ?? ''
  return { messageId, by, over: /S$/i.test(protocol) ? 'TLS' : 'plaintext' }
}
