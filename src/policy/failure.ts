/**
 * Failures in the form in which they are cached: plain data, without certificates, sockets and
 * error chains.
 *
 * @module
 */
import { textOfThrown } from '../text.js'
import type { TlsFailure } from '../tls/failures.js'

/** The cached part of an error. */
export interface PlainCause {
  /** The error's `code`, if it has one */
  readonly code?: string
  readonly message: string
}

const MESSAGE_LIMIT = 300

/** Returns the same failure with the code and the text of its cause only. */
export function plainFailure(failure: TlsFailure): TlsFailure {
  const { cause, ...rest } = failure
  return Object.freeze(cause === undefined ? rest : { ...rest, cause: plainCause(cause) })
}

function plainCause(cause: unknown): PlainCause {
  const code: unknown = typeof cause === 'object' && cause !== null && Reflect.get(cause, 'code')
  const message = isPlain(cause) ? cause.message : textOfThrown(cause)
  // A copy: in V8 a substring keeps the whole string in memory
  const text = Buffer.from(message.slice(0, MESSAGE_LIMIT)).toString()
  return Object.freeze({ ...(typeof code === 'string' ? { code } : {}), message: text })
}

function isPlain(cause: unknown): cause is PlainCause {
  return (
    typeof cause === 'object' &&
    cause !== null &&
    'message' in cause &&
    typeof cause.message === 'string'
  )
}
