/**
 * Errors that end a delivery before a host has answered for the message.
 *
 * @module
 */
import { copyOfError, MtaStsError } from '../errors.js'
import { errorOfThrown, escapeRemoteText } from '../text.js'
import { describeFailure, type TlsFailure } from '../tls/failures.js'

/**
 * There is no host to deliver to: the MX lookup failed (temporary), the domain takes no mail
 * (permanent: RFC 7505) or does not exist (permanent). With the code `ESTORE`, the policy is
 * unknown: the store does not answer, and the option `requireStore` is set (temporary).
 */
export class RoutingError extends MtaStsError {
  /** True: trying again is pointless */
  readonly permanent: boolean
  /** The recipients' domain: A-labels in lower case, or an address literal */
  readonly policyDomain: string

  constructor(
    message: string,
    details: {
      code: 'EDNS' | 'ENULLMX' | 'ESTORE'
      permanent: boolean
      policyDomain: string
      cause?: unknown
    },
  ) {
    super(message, details.code, { cause: details.cause })
    this.name = 'RoutingError'
    this.permanent = details.permanent
    this.policyDomain = details.policyDomain
  }
}

/**
 * Creates the error for mail that is deferred because the store, which may hold a policy, does not
 * answer.
 */
export function storeError(policyDomain: string): RoutingError {
  return new RoutingError(
    `The policy store did not answer, and no policy of ${escapeRemoteText(policyDomain)} is known. Try again later.`,
    { code: 'ESTORE', permanent: false, policyDomain },
  )
}

/** Marks the error of a smart host's address lookup as temporary. Returns the same error. */
export function lookupError(thrown: unknown): Error {
  return Object.assign(errorOfThrown(thrown), { code: 'EDNS', permanent: false })
}

/**
 * Every MX host was refused: none proved what it had to. Nothing was sent. Try again later: a
 * refusal is temporary (RFC 8461 §5.1).
 */
export class DeliveryRefusedError extends MtaStsError {
  declare readonly code: 'EMTASTS'
  /** Always false: an attacker may have sent the server's replies */
  readonly permanent: false
  /** The domain of the policy: A-labels in lower case */
  readonly policyDomain: string
  /** The mode of the policy; `none` without one: DANE or the sender's own options refused */
  readonly mode: 'enforce' | 'testing' | 'none'
  /** The id of the policy; undefined without a policy */
  readonly policyId: string | undefined
  /** The failure of each MX host and address, in order */
  readonly failures: TlsFailure[]

  constructor(details: {
    policyDomain: string
    mode: 'enforce' | 'testing' | 'none'
    policyId?: string | undefined
    failures: readonly TlsFailure[]
    dane?: boolean | undefined
    cause?: unknown
  }) {
    const why = demandOf(details)
    const list = details.failures.map(describeFailure).join('; ')
    super(
      `Not delivered to ${escapeRemoteText(details.policyDomain)}: no host proved ${why} (${list}). Nothing was sent; try again later.`,
      'EMTASTS',
      { cause: details.cause },
    )
    this.name = 'DeliveryRefusedError'
    this.permanent = false
    this.policyDomain = details.policyDomain
    this.mode = details.mode
    this.policyId = details.policyId
    this.failures = [...details.failures]
  }
}

/** Returns the source of the demand that was not met, for the message of a refusal. */
function demandOf({ mode, failures, dane }: Demanding): string {
  const byDane = failures.some(isAboutDane)
  if (mode === 'enforce') {
    return byDane ? 'what its MTA-STS policy and DANE ask for' : 'what its MTA-STS policy asks for'
  }
  const byMessage = failures.some(({ reason }) => reason?.startsWith('requiretls-'))
  if (byDane || (dane && !byMessage)) return 'what DANE asks for'
  return 'what the sender asks for (minimumSecurity or REQUIRETLS)'
}

type Demanding = ConstructorParameters<typeof DeliveryRefusedError>[0]

function isAboutDane({ resultType, reason }: TlsFailure): boolean {
  if (resultType === 'tlsa-invalid' || resultType === 'dane-required') return true
  return resultType === 'dnssec-invalid' || (reason?.startsWith('tlsa-') ?? false)
}

/** The policy has changed since the plan was made. Temporary: `deliver` makes a new plan. */
export class PolicyChangedError extends MtaStsError {
  readonly permanent: false
  constructor(policyDomain: string) {
    super(
      `The MTA-STS policy of ${escapeRemoteText(policyDomain)} has changed. Try again.`,
      'EPOLICYCHANGED',
    )
    this.permanent = false
  }
}

/** An invalid recipient. Permanent: a later attempt cannot succeed. */
export class RecipientError extends MtaStsError {
  declare readonly code: 'EENVELOPE'
  readonly permanent: true

  constructor(message: string) {
    super(message, 'EENVELOPE')
    this.name = 'RecipientError'
    this.permanent = true
  }
}

/**
 * Returns the error of a message without any successful recipient: the first one, or a copy that is
 * not permanent if some recipient's error is temporary. A queue that reads only this error must not
 * bounce to recipients that were deferred.
 */
export function errorOfAll(first: Error, errors: readonly Error[]): Error {
  if (!isPermanent(first) || errors.every(isPermanent)) return first
  return Object.assign(copyOfError(first), { permanent: false })
}

function isPermanent(error: Error): boolean {
  return 'permanent' in error && error.permanent === true
}
