/**
 * The comparison of `watch`, from one look to the next.
 *
 * @module
 */
import { escapeRemoteText } from '../../text.js'
import type { CheckReport, Verdict } from '../check/findings.js'
import { listed } from '../layout.js'
import { DAY, day } from '../time.js'

/** The part of a report that is compared with the next one. */
export interface Snapshot {
  status: Verdict['status']
  verdict: string
  /** The TXT record; `undefined`: it could not be looked up */
  record: string | undefined
  /** The policy; `undefined`: it could not be fetched for a reason that may pass */
  policy: string | undefined
  mx: string | undefined
  /** Hosts whose certificate ends within 14 days, with the date */
  ending: readonly string[]
}

export interface Change {
  code: 'verdict' | 'record' | 'policy' | 'mx' | 'certificate'
  text: string
}

const RENEWAL = 14 * DAY

export function snapshotOf(report: CheckReport, now: number): Snapshot {
  const { record, policy, mx, verdict } = report
  const lines = policy?.lines.map(({ text }) => text.trim()).filter((text) => text !== '')
  return {
    status: verdict.status,
    verdict: verdict.text,
    record: record.status === 'unknown' ? undefined : record.texts.join(' | ') || 'none',
    policy: lines === undefined ? undefined : lines.join('; '),
    mx:
      mx.status === 'unknown'
        ? undefined
        : mx.hosts.map(({ host, preference }) => `${preference} ${host}`).join(', ') || mx.status,
    ending: endingSoon(report, now),
  }
}

function endingSoon({ policyHost, mx }: CheckReport, now: number): string[] {
  const hosts = [
    ...(policyHost?.addresses ?? []).map(({ certificate }) => ({
      host: policyHost?.host,
      certificate,
    })),
    ...mx.hosts.flatMap(({ host, sessions }) =>
      (sessions ?? []).map(({ certificate }) => ({ host, certificate })),
    ),
  ]
  const ending = hosts.flatMap(({ host, certificate }) => {
    const end = certificate === null ? Number.NaN : Date.parse(certificate.notAfter)
    return end - now < RENEWAL
      ? [`${escapeRemoteText(host ?? '')} ends on ${day(new Date(end))}`]
      : []
  })
  return [...new Set(ending)].sort()
}

/** @param before undefined: at the first look, what is wrong already is a change */
export function changesBetween(before: Snapshot | undefined, after: Snapshot): Change[] {
  const changes: Change[] = []
  if (before === undefined ? after.status !== 'fine' : before.status !== after.status) {
    const was = before === undefined ? '' : `${before.status} before, now `
    changes.push({ code: 'verdict', text: `${was}${after.status}: ${after.verdict}` })
  }
  for (const code of ['record', 'policy', 'mx'] as const) {
    const [old, now] = [before?.[code], after[code]]
    // A look that failed is no change: the verdict says so
    if (old === undefined || now === undefined || old === now) continue
    changes.push({ code, text: `was ${shown(old)}; is ${shown(now)}` })
  }
  const fresh = after.ending.filter((one) => before?.ending.includes(one) !== true)
  if (fresh.length > 0) changes.push({ code: 'certificate', text: listed(fresh) })
  return changes
}

/** Returns what the next look is compared with: what could not be looked up now is as it was. */
export function remembered(before: Snapshot | undefined, after: Snapshot): Snapshot {
  return {
    ...after,
    record: after.record ?? before?.record,
    policy: after.policy ?? before?.policy,
    mx: after.mx ?? before?.mx,
  }
}

function shown(text: string): string {
  return `"${escapeRemoteText(text)}"`
}
