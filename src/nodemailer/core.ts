/**
 * The MtaSts object behind a transport: one of its own, or one that it shares with others.
 *
 * @module
 */
import { MtaSts } from '../mta-sts.js'
import { optionError } from '../option-checks.js'
import type { MtaStsOptions } from '../options.js'
import { loadGetLogger } from './load-nodemailer.js'
import type { MailLogger } from './types.js'

/** The options of `MtaSts`, or an `MtaSts` in their place. */
export interface StsOptions extends Omit<MtaStsOptions, 'logger'> {
  /** One that is shared with others, in place of the options that would make one */
  sts?: MtaSts | undefined
  /** Nodemailer's logger, or true for the console */
  logger?: MailLogger | boolean | undefined
}

export interface StsInUse {
  sts: MtaSts
  /** Closes it, unless somebody else has it too */
  close(): void
}

/** @throws TypeError that names the option which is wrong */
export function stsOf({ sts, logger, ...options }: StsOptions): StsInUse {
  if (sts !== undefined) {
    if (typeof sts?.deliver === 'function') return { sts, close: () => {} }
    throw optionError('sts', 'must be an MtaSts object', sts)
  }
  if (logger !== undefined && typeof logger !== 'boolean' && !isLogger(logger)) {
    throw optionError(
      'logger',
      'must be true, false or an object with the methods of a logger',
      logger,
    )
  }
  const own = new MtaSts(
    logger
      ? { ...options, logger: loadGetLogger()({ logger }, { component: 'mta-sts' }) }
      : options,
  )
  return { sts: own, close: () => void own.close() }
}

function isLogger(logger: object): boolean {
  return ['debug', 'info', 'warn', 'error', 'log'].some(
    (level) => typeof Reflect.get(Object(logger), level) === 'function',
  )
}
