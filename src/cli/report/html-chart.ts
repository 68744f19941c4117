/**
 * Sessions over days, as SVG.
 *
 * @module
 */

import type { DayCounts, PolicyAssessment } from '../../tlsrpt/assess-types.js'
import { thousands } from '../../tlsrpt/assess-verdict.js'

const DAY = 86_400_000

/** Bars that can still be told apart on a phone; of more days the last ones are shown. */
const MAX_DAYS = 92

const HEIGHT = 100
const SLOT = 10
const BAR = 8

/** Two charts, each with a scale of its own: few of many sessions fail. */
export function chartOf({ series, refused }: PolicyAssessment): string {
  const last = series.at(-1)
  if (last === undefined) return ''
  const end = numberOf(last)
  const from = Math.max(end - MAX_DAYS + 1, series[0] === undefined ? end : numberOf(series[0]))
  const shown = series.filter((counts) => numberOf(counts) >= from)
  const first = new Date(from * DAY).toISOString().slice(0, 10)
  const axis = `<div class="axis"><span>${first}</span><span>${last.day}</span></div>`
  const chart = (kind: 'sessions' | 'failed') => {
    const most = Math.max(...shown.map((counts) => counts[kind]))
    const title = kind === 'sessions' ? 'Sessions' : 'Failed sessions'
    if (most === 0) return `<p class="dim">${title}: none</p>`
    const bars = shown.map((counts) => barOf(counts, kind, { from, most })).join('')
    const label = `${title} a day, ${thousands(most)} at most`
    const box = `0 0 ${(end - from + 1) * SLOT} ${HEIGHT}`
    return (
      `<p class="dim">${label}</p><svg class="${kind}${refused > 0 ? ' refused' : ''}" viewBox="${box}" ` +
      `preserveAspectRatio="none" role="img" aria-label="${label}">${bars}</svg>${axis}`
    )
  }
  return `${chart('sessions')}${chart('failed')}`
}

function numberOf({ day }: DayCounts): number {
  return Date.parse(day) / DAY
}

function barOf(
  counts: DayCounts,
  kind: 'sessions' | 'failed',
  { from, most }: { from: number; most: number },
): string {
  const count = counts[kind]
  if (count === 0) return ''
  // One failure of many still is a visible line
  const height = Math.max(2, Math.round((count / most) * HEIGHT))
  const x = (numberOf(counts) - from) * SLOT + 1
  return (
    `<rect x="${x}" y="${HEIGHT - height}" width="${BAR}" height="${height}">` +
    `<title>${counts.day}: ${thousands(count)}</title></rect>`
  )
}
