/**
 * The logger of the caller's choice, and a guard around it: nothing that it throws reaches us.
 *
 * @module
 */

/** Nodemailer's kind of logger: bunyan, pino and the like. */
export interface Logger {
  /** Details that help to find a fault */
  debug(entry: object, message: string, ...args: unknown[]): void
  /** Not used by this package, and part of every logger */
  info(entry: object, message: string, ...args: unknown[]): void
  /** A policy that could not be fetched or renewed, a report that was not delivered */
  warn(entry: object, message: string, ...args: unknown[]): void
  /** A store that failed */
  error(entry: object, message: string, ...args: unknown[]): void
}

/** The methods that a logger must have. */
export const LOGGER_METHODS = ['debug', 'info', 'warn', 'error'] as const

/** Returns a logger that passes everything on and never throws. */
export function guardedLogger(logger: Logger): Logger {
  const call =
    (method: keyof Logger) =>
    (...args: Parameters<Logger['debug']>) => {
      try {
        const result: unknown = logger[method](...args)
        // A logger that is asynchronous, and fails later
        if (result instanceof Promise) result.catch(() => {})
      } catch {
        // A failure to log is no reason to lose mail
      }
    }
  return { debug: call('debug'), info: call('info'), warn: call('warn'), error: call('error') }
}
