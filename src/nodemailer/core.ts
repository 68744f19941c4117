/**
 * The MtaSts object behind a transport: its own, or one shared with other transports.
 *
 * @module
 */
import { MtaSts } from '../mta-sts.js'
import {
  type CheckedCall,
  checkKnown,
  configError,
  namesOf,
  optionError,
} from '../option-checks.js'
import { type MtaStsOptions, OPTION_NAMES, SHARED_NAME } from '../options.js'
import { loadGetLogger } from './load-nodemailer.js'
import type { MailLogger } from './types.js'

/** The options of `MtaSts`, or an `MtaSts` in their place. */
export interface StsOptions extends Omit<MtaStsOptions, 'logger'> {
  /** A shared one, in place of the options that would make one */
  sts?: MtaSts | undefined
  /** Nodemailer's logger, or true for the console */
  logger?: MailLogger | boolean | undefined
}

export interface StsInUse {
  sts: MtaSts
  /** Closes it, unless it is shared */
  close(): void
}

/** The names of {@link StsOptions}. */
export const STS_NAMES: readonly string[] = [
  ...OPTION_NAMES,
  ...namesOf<Exclude<keyof StsOptions, keyof MtaStsOptions>>({ sts: true }),
]

/** Options that an `MtaSts` object and its transports may both be given, in one object. */
const SURROUNDINGS: ReadonlySet<keyof MtaStsOptions> = new Set(['resolver', 'connect', 'ca', 'now'])

/**
 * Makes `createTransport(mtaStsTransport)`, without the call, fail with an error that says so:
 * Nodemailer takes the function itself for a transport.
 */
export function refuseUncalled(call: (...args: never[]) => unknown, parameter: string): void {
  const use = `use createTransport(${call.name}(${parameter})), with the call of ${call.name}()`
  const message = `The transport is the function ${call.name} itself: ${use}`
  Object.defineProperty(call, 'send', {
    value: (_: unknown, callback: (error: Error) => void) => callback(configError(message)),
  })
}

/** A call that takes the options of an MtaSts object, and options of its own beside them. */
export interface StsCall extends CheckedCall {
  /** The names of its own options, which may be given beside `sts` */
  own: readonly string[]
}

/**
 * Checks the names of all options of a call.
 *
 * @throws TypeError that names an option which is unknown, or has no effect beside `sts`
 */
export function checkStsOptions(options: StsOptions, { call, own, elsewhere }: StsCall): void {
  checkKnown(options, [...STS_NAMES, ...own, SHARED_NAME], {
    call,
    ...(elsewhere && { elsewhere }),
  })
  if (options.sts === undefined) return
  for (const name of OPTION_NAMES) {
    if (options[name] === undefined || own.includes(name) || SURROUNDINGS.has(name)) continue
    throw configError(
      `The option "${name}" of ${call} cannot be given beside "sts": give it to the MtaSts object, new MtaSts({ ${name} })`,
    )
  }
}

/**
 * Returns the MtaSts object of a transport.
 *
 * @throws TypeError that names the option which is wrong
 */
export function stsOf(given: StsOptions): StsInUse {
  const { sts, logger, ...options } = given
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
