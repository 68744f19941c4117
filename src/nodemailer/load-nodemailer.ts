/**
 * Loads Nodemailer when it is first needed: importing this package must not load it.
 *
 * @module
 */
import { createRequire } from 'node:module'

/** The part of Nodemailer that is used. */
export interface Nodemailer {
  createTransport(options: unknown): object
}

/** Nodemailer's own logging: a logger with methods for each level, whatever was given. */
export type GetLogger = (options: { logger: unknown }, defaults: object) => Logger

export type Logger = Record<
  'debug' | 'info' | 'warn' | 'error',
  (entry: object, message?: string, ...values: unknown[]) => void
>

/** Returns the Nodemailer that is installed beside this package. */
export function loadNodemailer(): Nodemailer {
  return required('nodemailer') as Nodemailer
}

export function loadGetLogger(): GetLogger {
  return (required('nodemailer/lib/shared/index.js') as { getLogger: GetLogger }).getLogger
}

function required(name: string): unknown {
  // In CommonJS, which the published program is, `import.meta` is empty
  return createRequire(import.meta.url ?? __filename)(name)
}
