/**
 * The caller's logger, and a guard around it: none of its errors reach the package.
 *
 * @module
 */

/** Nodemailer's kind of logger: bunyan, pino and the like. */
export interface Logger {
  /** Details that help to find a fault */
  debug(entry: object, message: string, ...args: unknown[]): void
  /** Required of every logger, but not used by this package */
  info(entry: object, message: string, ...args: unknown[]): void
  /** A policy that could not be fetched or renewed, a report that was not delivered */
  warn(entry: object, message: string, ...args: unknown[]): void
  /** A store that failed */
  error(entry: object, message: string, ...args: unknown[]): void
}

/** The methods that a logger must have. */
export const LOGGER_METHODS = ['debug', 'info', 'warn', 'error'] as const

/** Returns a logger that never throws. */
export function guardedLogger(logger: Logger): Logger {
  const call =
    (method: keyof Logger) =>
    (...args: Parameters<Logger['debug']>) => {
      try {
        const result: unknown = logger[method](...args)
        // An asynchronous logger may fail later
        if (result instanceof Promise) result.catch(() => {})
      } catch {
        // A failure to log must not lose mail
      }
    }
  return { debug: call('debug'), info: call('info'), warn: call('warn'), error: call('error') }
}
