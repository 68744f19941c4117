/**
 * Loads Nodemailer when it is first needed: importing this package must not load it.
 *
 * @module
 */
import { missingPackage } from '../errors.js'
import { requireInstalled } from '../installed.js'

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
  return loaded(() => (isCommonJs() ? require('nodemailer') : requireInstalled()('nodemailer')))
}

export function loadGetLogger(): GetLogger {
  return loaded(() =>
    isCommonJs()
      ? require('nodemailer/lib/shared/index.js').getLogger
      : requireInstalled()('nodemailer/lib/shared/index.js').getLogger,
  )
}

/** @throws MtaStsError of code `EPEER` if Nodemailer is not installed */
function loaded<T>(load: () => T): T {
  try {
    return load()
  } catch (cause) {
    throw missingPackage('mta-sts/nodemailer', 'nodemailer', cause)
  }
}

function isCommonJs(): boolean {
  return typeof require === 'function'
}
