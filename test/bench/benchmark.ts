/**
 * Types of benchmarks and their findings.
 *
 * @module
 */
import { type Plan, perPair, type Spread, spread } from './pairs.js'

/** `quick` checks that a benchmark works and that both sides do the work, without judging speed. */
export type Mode = 'full' | 'quick'

export type Unit = '/s' | 'ms' | 'B' | 'KB' | ''

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

/** The row of two legs whose figures are compared pair by pair. */
export function pairedRow(
  figures: { ours: readonly number[]; theirs: readonly number[] },
  row: Pick<Row, 'name' | 'what' | 'beside' | 'unit' | 'target'> & {
    by?: 'ratio' | 'difference'
  },
): Row {
  const { by = 'ratio', ...rest } = row
  const compare = by === 'ratio' ? ratio : difference
  return {
    ...rest,
    ours: spread(figures.ours),
    theirs: spread(figures.theirs),
    compared: {
      by,
      spread: perPair(figures.ours, figures.theirs, compare),
      unit: by === 'ratio' ? '' : row.unit,
    },
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
