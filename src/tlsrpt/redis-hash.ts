/**
 * Counts as a hash of Redis: `n` is the number of policies, `p:<key>` a policy, `s:<key>` its
 * successes, `n:<key>` the number of its distinct failures, `f:<key>:<failure>` the sessions of one
 * of them.
 *
 * @module
 */
import { MtaStsError } from '../errors.js'
import {
  type DomainCounts,
  otherPolicy,
  othersOf,
  type PolicyCounts,
  readPolicy,
  unreadable,
} from './counts.js'
import { DAY, startOf } from './day.js'
import { type ClaimedReport, readProgress } from './store.js'

/** Returns an addition for one domain, as JSON, with everything that the script needs. */
export function addition({ day, domain, policies }: DomainCounts): string {
  return JSON.stringify({
    number: startOf(day) / DAY,
    member: `${day} ${domain}`,
    policies: policies.map(({ key, policy, successes, failures }) => {
      const others = otherPolicy(policy)
      return {
        key,
        text: JSON.stringify(policy),
        others: { key: others.key, text: JSON.stringify(others.policy) },
        successes,
        failures: failures.map(([text, sessions]) => ({ text, others: othersOf(text), sessions })),
      }
    }),
  })
}

/** Makes a claimed report of the fields and values of its hash. Never throws. */
export function claimedReport(id: string, claim: string, flat: readonly string[]): ClaimedReport {
  const hash = hashOf(flat)
  const report = {
    id,
    day: hash.get('day') ?? '',
    domain: hash.get('domain') ?? '',
    progress: readProgress(hash.get('progress')),
    claim,
  }
  try {
    if (report.day === '' || report.domain === '') throw unreadable('it has no day or domain')
    return { ...report, policies: policiesOf(hash) }
  } catch (error) {
    const problem = error instanceof MtaStsError ? error : unreadable('a field is damaged', error)
    return { ...report, policies: [], unreadable: problem }
  }
}

/** Returns a map of a list in which fields and values alternate. */
export function hashOf(flat: readonly string[]): Map<string, string> {
  const hash = new Map<string, string>()
  for (let index = 0; index < flat.length; index += 2) {
    hash.set(flat[index] ?? '', flat[index + 1] ?? '')
  }
  return hash
}

function policiesOf(hash: ReadonlyMap<string, string>): PolicyCounts[] {
  const failures = new Map<string, [string, number][]>()
  for (const [field, value] of hash) {
    const [, key, text] = /^f:([^:]*):(.*)$/s.exec(field) ?? []
    if (key === undefined || text === undefined) continue
    const list = failures.get(key)
    if (list) list.push([text, sessions(value)])
    else failures.set(key, [[text, sessions(value)]])
  }
  return [...hash]
    .filter(([field]) => field.startsWith('p:'))
    .map(([field, text]) => {
      const key = field.slice(2)
      const successes = sessions(hash.get(`s:${key}`) ?? '0')
      return { key, policy: readPolicy(text), successes, failures: failures.get(key) ?? [] }
    })
}

function sessions(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw unreadable('a count is not a number')
}
