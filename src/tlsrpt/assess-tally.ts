/**
 * Adds up the reported sessions of one domain under one policy type.
 *
 * @module
 */
import { meaningOf } from './assess-advice.js'
import { coverageOf, type DayNumber, dayName } from './assess-days.js'
import type { FailureGroup, ModeSeen, PolicyAssessment, SenderSeen } from './assess-types.js'
import type { FailureDetails, ReportedPolicy } from './report.js'

/** Maximum number of distinct failures for each policy type; others are counted by result type. */
const MAX_GROUPS = 1000

/** A sender that has not reported for longer is missing. */
const SILENT_DAYS = 7

/** Replaces the result type of failed sessions without details. */
const NO_DETAILS = 'unspecified'

interface Group {
  resultType: string
  mxHost: string | undefined
  reason: string | undefined
  sessions: number
  senders: Set<string>
  first: DayNumber
  last: DayNumber
}

interface Seen {
  sessions: number
  failed: number
  days: Set<DayNumber>
}

interface Mode {
  sessions: number
  first: DayNumber
  last: DayNumber
}

/** Senders, and the days that they reported. */
export interface Source {
  sender: string
  days: readonly DayNumber[]
}

export class PolicyTally {
  readonly #policyType: string
  readonly #senders = new Map<string, Seen>()
  readonly #days = new Map<DayNumber, { sessions: number; failed: number }>()
  /** Days with sessions that met the policy, which alone count as covered */
  readonly #covered = new Set<DayNumber>()
  readonly #modes = new Map<ModeSeen['mode'], Mode>()
  readonly #groups = new Map<string, Group>()
  #sessions = 0
  #failed = 0

  constructor(policyType: string) {
    this.#policyType = policyType
  }

  add(reported: ReportedPolicy, source: Source): void {
    const failed = reported.totalFailureSessionCount
    const sessions = reported.totalSuccessfulSessionCount + failed
    this.#sessions += sessions
    this.#failed += failed
    const mode = this.#policyType === 'sts' ? modeOf(reported.policyString) : undefined
    // Under mode `none` nothing is checked
    const isProof = reported.totalSuccessfulSessionCount > 0 && mode !== 'none'
    const seen = this.#sender(source.sender)
    seen.sessions += sessions
    seen.failed += failed
    const [first = 0] = source.days
    for (const day of source.days) {
      seen.days.add(day)
      if (isProof) this.#covered.add(day)
      const counts = this.#days.get(day) ?? { sessions: 0, failed: 0 }
      if (day === first) {
        counts.sessions += sessions
        counts.failed += failed
      }
      this.#days.set(day, counts)
    }
    if (mode !== undefined) this.#addMode(mode, sessions, source)
    this.#addFailures(reported, source)
  }

  #sender(name: string): Seen {
    const seen = this.#senders.get(name) ?? { sessions: 0, failed: 0, days: new Set() }
    this.#senders.set(name, seen)
    return seen
  }

  #addMode(name: ModeSeen['mode'], sessions: number, { days }: Source): void {
    const [first, last] = ends(days)
    const mode = this.#modes.get(name) ?? { sessions: 0, first, last }
    mode.sessions += sessions
    mode.first = Math.min(mode.first, first)
    mode.last = Math.max(mode.last, last)
    this.#modes.set(name, mode)
  }

  #addFailures({ failureDetails, totalFailureSessionCount }: ReportedPolicy, source: Source): void {
    let detailed = 0
    for (const details of failureDetails) {
      detailed += details.failedSessionCount
      this.#addFailure(details, source)
    }
    const rest = totalFailureSessionCount - detailed
    if (rest > 0) this.#addFailure({ resultType: NO_DETAILS, failedSessionCount: rest }, source)
  }

  #addFailure(details: FailureDetails, { sender, days }: Source): void {
    if (details.failedSessionCount === 0) return
    const { resultType, receivingMxHostname, receivingMxHelo } = details
    const mxHost = (receivingMxHostname ?? receivingMxHelo)?.toLowerCase().replace(/\.$/, '')
    const group = this.#group({ resultType, mxHost, reason: details.failureReasonCode }, days)
    const [first, last] = ends(days)
    group.sessions += details.failedSessionCount
    group.senders.add(sender)
    group.first = Math.min(group.first, first)
    group.last = Math.max(group.last, last)
  }

  #group(
    { resultType, mxHost, reason }: Pick<Group, 'resultType' | 'mxHost' | 'reason'>,
    days: readonly DayNumber[],
  ): Group {
    const key = JSON.stringify([resultType, mxHost, reason])
    const known = this.#groups.get(key)
    if (known !== undefined) return known
    const isFull = this.#groups.size >= MAX_GROUPS
    if (isFull && (mxHost !== undefined || reason !== undefined)) {
      return this.#group({ resultType, mxHost: undefined, reason: undefined }, days)
    }
    const [first, last] = ends(days)
    const group = {
      resultType,
      mxHost,
      reason,
      sessions: 0,
      senders: new Set<string>(),
      first,
      last,
    }
    this.#groups.set(key, group)
    return group
  }

  result(): PolicyAssessment {
    const failures = Array.from(this.#groups.values(), failureGroup).sort(byWeight)
    const senders = Array.from(this.#senders, senderSeen).sort(
      (a, b) => b.sessions - a.sessions || compare(a.name, b.name),
    )
    const lastDay = Math.max(...ends([...this.#days.keys()].sort((a, b) => a - b)))
    const silentSince = dayName(lastDay - SILENT_DAYS)
    return {
      policyType: this.#policyType,
      sessions: this.#sessions,
      failed: this.#failed,
      refused: failures
        .filter(({ weight }) => weight === 'refused')
        .reduce((sum, { sessions }) => sum + sessions, 0),
      percent: this.#sessions === 0 ? 0 : (this.#failed / this.#sessions) * 100,
      modes: Array.from(this.#modes, modeSeen).sort(byLastDay),
      days: coverageOf(this.#days.keys(), this.#covered.size),
      senders,
      missingSenders: senders.filter((sender) => sender.lastDay <= silentSince),
      lastFailure: failures
        .map((group) => group.lastDay)
        .sort(compare)
        .at(-1),
      failures,
      series: [...this.#days]
        .sort(([a], [b]) => a - b)
        .map(([day, counts]) => ({ day: dayName(day), ...counts })),
    }
  }
}

/**
 * Returns the `mode` of a policy even if other lines are invalid: an underscore in `mx`, a missing
 * field or a carriage return do not affect the mode.
 */
export function modeOf(policyString: readonly string[] | undefined): ModeSeen['mode'] {
  for (const line of policyString?.flatMap((text) => text.split(/[\r\n]+/)) ?? []) {
    const [, mode] = /^\s*mode\s*:\s*(enforce|testing|none)\s*$/i.exec(line) ?? []
    const name = mode?.toLowerCase()
    if (name === 'enforce' || name === 'testing' || name === 'none') return name
  }
  return 'unknown'
}

function ends(days: readonly DayNumber[]): [first: DayNumber, last: DayNumber] {
  return [days[0] ?? 0, days.at(-1) ?? 0]
}

function failureGroup({ senders, first, last, ...group }: Group): FailureGroup {
  const { weight, advice } = meaningOf(group.resultType)
  return {
    ...group,
    weight,
    senders: senders.size,
    firstDay: dayName(first),
    lastDay: dayName(last),
    advice,
  }
}

/** Sorts by last day; a policy that was not shown comes last. */
function byLastDay(a: ModeSeen, b: ModeSeen): number {
  const known = Number(a.mode === 'unknown') - Number(b.mode === 'unknown')
  return known || compare(b.lastDay, a.lastDay) || b.sessions - a.sessions
}

const WEIGHTS = ['refused', 'dane', 'not-refused']

function byWeight(a: FailureGroup, b: FailureGroup): number {
  return WEIGHTS.indexOf(a.weight) - WEIGHTS.indexOf(b.weight) || b.sessions - a.sessions
}

function senderSeen([name, { sessions, failed, days }]: [string, Seen]): SenderSeen {
  let last = 0
  for (const day of days) last = Math.max(last, day)
  return { name, sessions, failed, days: days.size, lastDay: dayName(last) }
}

function modeSeen([mode, { sessions, first, last }]: [ModeSeen['mode'], Mode]): ModeSeen {
  return { mode, sessions, firstDay: dayName(first), lastDay: dayName(last) }
}

export function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
