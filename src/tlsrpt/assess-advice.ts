/**
 * The effect of mode `enforce` on each result type of RFC 8460 §4.3, and the advice for it.
 *
 * @module
 */
import type { ResultType } from '../tls/failures.js'
import type { FailureWeight } from './assess-types.js'

interface Meaning {
  weight: FailureWeight
  advice: string
}

const MEANINGS: Readonly<Record<ResultType, Meaning>> = {
  'starttls-not-supported': {
    weight: 'refused',
    advice: 'Offer STARTTLS to everybody on this host; a firewall or filter may strip it.',
  },
  'certificate-host-mismatch': {
    weight: 'refused',
    advice:
      'Give the host a certificate for its name in the MX record, and list that name in the policy.',
  },
  'certificate-expired': {
    weight: 'refused',
    advice: 'Renew the certificate of the host, and have the server load it.',
  },
  'certificate-not-trusted': {
    weight: 'refused',
    advice: 'Use a certificate of a public authority, and send its intermediate certificates.',
  },
  'validation-failure': {
    weight: 'refused',
    advice: 'Look at the reason, and run "mta-sts check --connect" for the domain.',
  },
  'tlsa-invalid': {
    weight: 'dane',
    advice: 'Publish TLSA records that match the certificate before it changes.',
  },
  'dnssec-invalid': { weight: 'dane', advice: 'Repair the DNSSEC signatures of the zone.' },
  'dane-required': { weight: 'dane', advice: 'Publish TLSA records in a signed zone.' },
  'sts-policy-fetch-error': {
    weight: 'not-refused',
    advice: 'Let everybody fetch the policy file by HTTPS, without redirects.',
  },
  'sts-policy-invalid': {
    weight: 'not-refused',
    advice: 'Correct the policy file; "mta-sts check" names the line.',
  },
  'sts-webpki-invalid': {
    weight: 'not-refused',
    advice: 'Give the policy host a certificate that is valid for its name.',
  },
}

/** An unknown kind of failure may be one that `enforce` refuses. */
const UNKNOWN: Meaning = {
  weight: 'refused',
  advice: 'The report does not say what failed: ask its sender.',
}

/** Returns the effect of a result type; an unknown one counts as refused. */
export function meaningOf(resultType: string): Meaning {
  return isKnown(resultType) ? MEANINGS[resultType] : UNKNOWN
}

function isKnown(resultType: string): resultType is ResultType {
  return Object.hasOwn(MEANINGS, resultType)
}
