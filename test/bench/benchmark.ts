/**
 * Types of benchmarks and their findings.
 *
 * @module
 */
import { type Figures, type Plan, perPair, type Spread, spread } from './pairs.js'

/** `quick` checks that a benchmark works and that both sides do the work, without judging speed. */
export type Mode = 'full' | 'quick'

export type Unit = '/s' | 'ms' | 'B' | 'KB' | 'MB' | ''

/** One of our figures, in most rows with another one for comparison. */
export interface Row {
  /** The name of the benchmark, and of the finding if it has several */
  name: string
  /** The work */
  what: string
  /** The compared program */
  beside?: string
  unit: Unit
  ours: Spread
  theirs?: Spread
  /** Of each pair */
  compared?: { by: 'ratio' | 'difference'; spread: Spread; unit: Unit }
  /** Processor time of the other leg divided by ours, if both do the same work: above 1, ours needs less */
  cpu?: Spread
  target?: Target
}

export interface Target {
  /** The figure whose median counts */
  of: 'ours' | 'compared'
  bound: 'at-least' | 'at-most'
  value: number
}

/** The findings of a benchmark, and its omissions, one line each. */
export interface Findings {
  rows: Row[]
  skipped?: string[]
}

export type Benchmark = (mode: Mode) => Promise<Findings>

/** As many pairs as the mode demands; in full mode no figure is the median of fewer than five. */
export function planFor(mode: Mode, full: Partial<Plan> = {}): Plan {
  return mode === 'quick' ? { pairs: 1, warmUps: 0 } : { pairs: 5, warmUps: 1, ...full }
}

/** For short legs of about a tenth of a second, which are noisy and cheap. */
export const MANY_SHORT: Plan = { pairs: 15, warmUps: 2 }

export function atLeast(value: number): Target {
  return { of: 'compared', bound: 'at-least', value }
}

/** The bound of a figure of ours that is compared with nothing, or the bound of a comparison. */
export function atMost(value: number, of: Target['of'] = 'ours'): Target {
  return { of, bound: 'at-most', value }
}

/** The figures of a leg; its processor time only where that is compared too. */
type Compared = Pick<Figures, 'values'> & Partial<Figures>

/** Returns the row of two legs whose figures are compared pair by pair. */
export function pairedRow(
  figures: { ours: Compared; theirs: Compared },
  row: Pick<Row, 'name' | 'what' | 'beside' | 'unit' | 'target'> & {
    by?: 'ratio' | 'difference'
    /** Both legs do the same work: their processor time is compared too */
    sameWork?: boolean
  },
): Row {
  const { by = 'ratio', sameWork = false, ...rest } = row
  const { ours, theirs } = figures
  const compare = by === 'ratio' ? ratio : difference
  return {
    ...rest,
    ours: spread(ours.values),
    theirs: spread(theirs.values),
    compared: {
      by,
      spread: perPair(ours.values, theirs.values, compare),
      unit: by === 'ratio' ? '' : row.unit,
    },
    ...(sameWork ? { cpu: perPair(theirs.cpu ?? [], ours.cpu ?? [], ratio) } : {}),
  }
}

/** Whether the target is reached; undefined without a target. */
export function isMet({ target, ours, compared }: Row): boolean | undefined {
  if (target === undefined) return undefined
  const figure = target.of === 'ours' ? ours : compared?.spread
  if (figure === undefined) return false
  return target.bound === 'at-least' ? figure.median >= target.value : figure.median <= target.value
}

const ratio = (ours: number, theirs: number) => ours / theirs
const difference = (ours: number, theirs: number) => ours - theirs
