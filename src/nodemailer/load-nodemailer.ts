/**
 * Loads Nodemailer when it is first needed: importing this package must not load it.
 *
 * @module
 */
import { createRequire } from 'node:module'
import type { SmtpTransport } from './smart-host-types.js'

interface Nodemailer {
  createTransport(options: string | object): { transporter: SmtpTransport }
}

/** Returns the Nodemailer that is installed beside this package. */
export function loadNodemailer(): Nodemailer {
  // In CommonJS, which the published program is, `import.meta` is empty
  return createRequire(import.meta.url ?? __filename)('nodemailer') as Nodemailer
}
