/**
 * Alternating pairs and their comparison. On a shared machine absolute figures drift by the minute;
 * two legs in sequence have about the same conditions, so the ratio of each pair counts, and the
 * median of the ratios.
 *
 * @module
 */

export interface Plan {
  /** Number of counted runs of every leg */
  pairs: number
  /** Number of uncounted runs of every leg before */
  warmUps: number
}

export interface Spread {
  median: number
  min: number
  max: number
}

/** For a profile of one side: `BENCH_ONLY=ours node --cpu-prof ...` */
const ONLY = process.env.BENCH_ONLY

/** Does its work once, checks that it was done, and returns its figure: work per second, or ms. */
export type Leg = () => number | Promise<number>

/** Runs the legs alternately in the given order: ours, theirs, ours, theirs. */
export async function alternate<Name extends string>(
  legs: Record<Name, Leg>,
  { pairs, warmUps }: Plan,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(legs) as Name[]
  const figures = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<
    Name,
    number[]
  >
  for (let round = -warmUps; round < pairs; round++) {
    for (const name of names) {
      if (ONLY !== undefined && name !== ONLY) continue
      // The next leg must not collect the garbage of this one
      globalThis.gc?.()
      const figure = await legs[name]()
      if (round >= 0) figures[name].push(figure)
    }
  }
  return figures
}

export function spread(figures: readonly number[]): Spread {
  const sorted = [...figures].sort((a, b) => a - b)
  const at = (index: number) => sorted[index] ?? Number.NaN
  const middle = (sorted.length - 1) / 2
  return {
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    min: at(0),
    max: at(sorted.length - 1),
  }
}

/** Returns the comparison of each pair of figures. */
export function perPair(
  ours: readonly number[],
  theirs: readonly number[],
  compare: (ours: number, theirs: number) => number,
): Spread {
  return spread(ours.map((figure, index) => compare(figure, theirs[index] ?? Number.NaN)))
}

/** Returns the rate of `work`, which does `count` items. */
export async function perSecond(count: number, work: () => void | Promise<void>): Promise<number> {
  const begin = clock()
  await work()
  return (count * 1000) / (clock() - begin)
}

/**
 * Milliseconds: of the clock, or with `--cpu` of processor time in this process, for a busy
 * machine; waiting then costs nothing.
 */
const clock =
  process.env.BENCH_CLOCK === 'cpu'
    ? () => {
        const { user, system } = process.cpuUsage()
        return (user + system) / 1000
      }
    : () => performance.now()

/** Calls `task` for 0 to `count` - 1, at most `limit` at once. */
export async function inFlight(
  count: number,
  limit: number,
  task: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < count) await task(next++)
  }
  await Promise.all(Array.from({ length: Math.min(limit, count) }, worker))
}
