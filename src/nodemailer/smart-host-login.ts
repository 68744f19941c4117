/**
 * Logins that end when their connection no longer meets the policy. A login takes several replies, or
 * waits for a token: a check before it is not enough.
 *
 * @module
 */
import { withChanges } from './with-changes.js'

/** Decides whether a login on one connection may go on. */
export interface LoginGuard {
  may(): boolean
  /** Called when a secret was withheld: the connection fails because of that */
  onBarred(): void
}

type TokenCallback = (error: Error | null, ...given: unknown[]) => void

/** The parts of Nodemailer's login that are secret. */
interface Login {
  credentials?: { user?: unknown; pass?: unknown }
  oauth2?: {
    getToken(renew: boolean, done: TokenCallback): unknown
    removeAllListeners(): unknown
  }
}

/** Returns an error for a connection that does not meet the policy. */
export function policyChanged(): Error {
  return new Error('The policy of the smart host has changed')
}

/**
 * Returns a login of Nodemailer's that gives away nothing once the guard says no: a name or a
 * password is then an empty text, a token an error.
 */
export function guardedLogin(login: unknown, guard: LoginGuard): unknown {
  if (typeof login !== 'object' || login === null) return login
  const { credentials, oauth2 }: Login = login
  return {
    ...login,
    ...(credentials ? { credentials: guardedCredentials(credentials, guard) } : {}),
    ...(oauth2 ? { oauth2: guardedTokens(oauth2, guard) } : {}),
  }
}

function guardedCredentials(credentials: NonNullable<Login['credentials']>, guard: LoginGuard) {
  const read = (name: 'user' | 'pass') => {
    if (guard.may()) return credentials[name]
    guard.onBarred()
    return ''
  }
  return {
    ...credentials,
    get user() {
      return read('user')
    },
    get pass() {
      return read('pass')
    },
  }
}

function guardedTokens(oauth2: NonNullable<Login['oauth2']>, guard: LoginGuard) {
  const getToken = (renew: boolean, done: TokenCallback) =>
    oauth2.getToken(renew, (error, ...given) => {
      if (guard.may()) return done(error, ...given)
      guard.onBarred()
      done(policyChanged())
    })
  // Nodemailer removes the listeners of a login that is not the transport's own, and this is a copy
  return withChanges(oauth2, { getToken, removeAllListeners: () => oauth2 })
}
