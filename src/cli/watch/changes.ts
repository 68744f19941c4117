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
  /** The status of the last look that found one out */
  known: Verdict['status']
  verdict: string
  /** The TXT record; `undefined`: it could not be looked up */
  record: string | undefined
  /** The policy; `undefined`: it could not be fetched for a reason that may pass */
  policy: string | undefined
  mx: string | undefined
  /** Hosts that showed a certificate */
  seen: ReadonlySet<string>
  /** Those whose certificate ends within 14 days */
  ending: readonly Ending[]
}

interface Ending {
  host: string
  /** `mx.example.com ends on 2026-08-01` */
  text: string
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
    known: verdict.status,
    verdict: verdict.text,
    record: record.status === 'unknown' ? undefined : record.texts.join(' | ') || 'none',
    policy: lines === undefined ? undefined : lines.join('; '),
    mx:
      mx.status === 'unknown'
        ? undefined
        : mx.hosts.map(({ host, preference }) => `${preference} ${host}`).join(', ') || mx.status,
    ...certificatesOf(report, now),
  }
}

function certificatesOf({ policyHost, mx }: CheckReport, now: number) {
  const hosts = [
    { host: policyHost?.host ?? '', looks: policyHost?.addresses ?? [] },
    ...mx.hosts.map(({ host, sessions }) => ({ host, looks: sessions ?? [] })),
  ]
  const ends = hosts.flatMap(({ host, looks }) =>
    looks.flatMap(({ certificate }) =>
      certificate === null ? [] : [{ host, end: Date.parse(certificate.notAfter) }],
    ),
  )
  const ending = ends
    .filter(({ end }) => end - now < RENEWAL)
    .map(({ host, end }) => ({
      host,
      text: `${escapeRemoteText(host)} ends on ${day(new Date(end))}`,
    }))
  return { seen: new Set(ends.map(({ host }) => host)), ending }
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
  const known = new Set(before?.ending.map(({ text }) => text))
  const fresh = after.ending.map(({ text }) => text).filter((text) => !known.has(text))
  if (fresh.length > 0) {
    changes.push({ code: 'certificate', text: listed([...new Set(fresh)].sort()) })
  }
  return changes
}

/** Tells whether a change is one of the domain: a look that failed, and the next one, are none. */
export function isOfDomain({ code }: Change, before: Snapshot, after: Snapshot): boolean {
  return code !== 'verdict' || (after.status !== 'unknown' && after.status !== before.known)
}

/** Returns what the next look is compared with: what could not be looked up now is as it was. */
export function remembered(before: Snapshot | undefined, after: Snapshot): Snapshot {
  const unseen = before?.ending.filter(({ host }) => !after.seen.has(host)) ?? []
  return {
    ...after,
    known: after.status === 'unknown' ? (before?.known ?? 'unknown') : after.status,
    ending: [...after.ending, ...unseen],
    record: after.record ?? before?.record,
    policy: after.policy ?? before?.policy,
    mx: after.mx ?? before?.mx,
  }
}

function shown(text: string): string {
  return `"${escapeRemoteText(text)}"`
}
