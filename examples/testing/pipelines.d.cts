import type { mtaStsTransport } from 'mta-sts/nodemailer'
import type { MailWorld } from 'mta-sts/testing'

interface Parts {
  world: MailWorld
  mtaStsTransport: typeof mtaStsTransport
}

export const pipelines: Readonly<Record<string, (parts: Parts) => Promise<void>>>
