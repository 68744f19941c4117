/**
 * Warnings about a setup that is allowed, and seldom meant.
 *
 * @module
 */

import { isTooBroad } from '../patterns.js'
import { DAY, span } from '../time.js'
import type { Setup } from './setup.js'

const DAY_IN_SECONDS = 86_400

/** A policy of mode `none` is there to be dropped soon. */
const LONG_NONE = 30 * DAY_IN_SECONDS

export function warningsOn(setup: Setup): string[] {
  return [...domainWarnings(setup), ...patternWarnings(setup), ...maxAgeWarnings(setup)]
}

function domainWarnings({ domain }: Setup): string[] {
  const [, label, rest] = /^(_mta-sts|mta-sts|_smtp\._tls|_tls)\.(.+)$/.exec(domain) ?? []
  if (label === undefined) return []
  return [
    `${domain} is a name that MTA-STS itself uses: the domain of the mail addresses is likely ${rest}.`,
  ]
}

function patternWarnings({ mx }: Setup): string[] {
  return mx
    .filter(isTooBroad)
    .map((pattern) =>
      pattern.startsWith('*.')
        ? `"mx: ${pattern}" names every domain below ${pattern.slice(2)}: whoever owns one of them passes for an MX host.`
        : `"mx: ${pattern}" has one label only: no MX host is likely to have that name.`,
    )
}

function maxAgeWarnings({ mode, maxAge }: Setup): string[] {
  const time = span(maxAge * 1000)
  if (mode === 'none') {
    if (maxAge <= LONG_NONE) return []
    return [
      `Mode none for ${time}: senders go by it until then unless they see another id. 86400, a day, is enough.`,
    ]
  }
  if (maxAge >= DAY_IN_SECONDS) return []
  return [
    `max_age is under a day (${maxAge === 0 ? 'senders drop the policy at once' : time}): whoever blocks the policy host for that long is rid of the policy. 604800, a week, is usual (${span(7 * DAY)}).`,
  ]
}
