/**
 * The common part of the conformance suites.
 *
 * @module
 */
import { must } from './named.js'

/**
 * One rule as a test of any test runner: `for (const { title, run } of cases) test(title, run)`.
 */
export interface ConformanceCase {
  /** Title of the case */
  title: string
  /** Rejects with an AssertionError where the store breaks the rule */
  run(): Promise<void>
}

/** Throws unless an argument can make the stores of a suite. */
export function checkOpen(suite: string, open: unknown): void {
  must('a function that returns { store }', (one) => typeof one === 'function')(
    `${suite}(): the argument`,
    open,
  )
}

/** Makes the cases of a suite, each with a store of its own. */
export function casesOf<Opened>(
  open: () => Opened | Promise<Opened>,
  rules: Readonly<Record<string, (opened: Opened) => Promise<void>>>,
): ConformanceCase[] {
  return Object.entries(rules).map(([title, check]) => ({
    title,
    run: async () => check(await open()),
  }))
}

export const HOUR = 3_600_000
export const DAY = 24 * HOUR
