/**
 * The verdict of a domain in one line: whether it may use mode `enforce`.
 *
 * @module
 */
import { escapeRemoteText } from '../text.js'
import type { FailureGroup, PolicyAssessment, Verdict } from './assess-types.js'

/** Share of the required days that reports must cover: single reports get lost. */
const ENOUGH = 0.9

/** Maximum number of result types in one line. */
const MAX_TYPES = 3

/**
 * @param policies of one domain
 * @param days required number of days
 */
export function verdictOf(policies: readonly PolicyAssessment[], days: number): Verdict {
  const sts = policies.find(({ policyType }) => policyType === 'sts')
  const others = policies.filter(({ policyType }) => policyType !== 'sts')
  if (sts !== undefined && sts.refused > 0) return wouldDefer(sts)
  const failing = others.find(({ refused }) => refused > 0)
  if (failing !== undefined) return notYet(failsElsewhere(failing))
  if (sts === undefined) return notYet('no sender has reported sessions under an MTA-STS policy')
  const { covered } = sts.days
  if (covered === 0) return notYet('no session that met the policy was reported')
  if (covered < Math.ceil(days * ENOUGH)) {
    return notYet(`only ${counted(covered, 'day')} of data (${days} wanted)`)
  }
  const senders = counted(sts.senders.length, 'sender')
  const harmless = sts.failed - sts.refused
  const beside =
    harmless > 0 ? `; ${counted(harmless, 'session')} failed that enforce lets pass` : ''
  const text = `ready: ${counted(covered, 'day')}, ${senders}, nothing would have been refused`
  return { answer: 'ready', text: `${text}${beside}` }
}

function wouldDefer(policy: PolicyAssessment): Verdict {
  const { refused, modes, sessions } = policy
  const isEnforced = modes[0]?.mode === 'enforce'
  const text = `enforce ${isEnforced ? 'has' : 'would have'} deferred ${numbers(refused, sessions)}`
  return { answer: 'would-defer', text: `${text}, ${whereOf(policy)}` }
}

function failsElsewhere(policy: PolicyAssessment): string {
  const type = escapeRemoteText(policy.policyType)
  return (
    `${numbers(policy.refused, policy.sessions)} under policy type ${type} failed in a way ` +
    `that enforce would refuse, ${whereOf(policy)}`
  )
}

/** Returns `all at mx2.example: certificate-expired, last on 2026-08-30`. */
function whereOf({ failures }: PolicyAssessment): string {
  const refused = failures.filter(({ weight }) => weight === 'refused')
  const [most] = refused
  if (most === undefined) return ''
  const hosts = new Set(refused.map(({ mxHost }) => mxHost))
  const types = new Set(refused.map(({ resultType }) => resultType))
  const shown = hosts.size === 1 ? [...types].slice(0, MAX_TYPES) : [most.resultType]
  const last = refused
    .map(({ lastDay }) => lastDay)
    .sort()
    .at(-1)
  return `${placeOf(most, hosts.size)}: ${shown.map(escapeRemoteText).join(', ')}, last on ${last}`
}

function placeOf({ mxHost }: FailureGroup, hosts: number): string {
  if (mxHost === undefined)
    return hosts === 1 ? 'at a host that is not named' : 'most at no named host'
  return `${hosts === 1 ? 'all' : 'most'} at ${escapeRemoteText(mxHost)}`
}

function notYet(why: string): Verdict {
  return { answer: 'not-yet', text: `not yet: ${why}` }
}

/** Returns `3,940 of 227,000 sessions (1.7 %)`. */
function numbers(part: number, whole: number): string {
  const of = Math.max(part, whole)
  return `${thousands(part)} of ${counted(of, 'session')} (${percent(part, of)})`
}

/** Returns `1.7 %`; never 0 % if something failed. */
export function percent(part: number, whole: number): string {
  if (part === 0 || whole === 0) return '0 %'
  const value = (part / whole) * 100
  if (value < 0.1) return '< 0.1 %'
  return `${value.toFixed(1).replace(/\.0$/, '')} %`
}

export function counted(count: number, what: string): string {
  return `${thousands(count)} ${what}${count === 1 ? '' : 's'}`
}

/** Returns `227,000`, in every locale. */
export function thousands(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ',')
}
