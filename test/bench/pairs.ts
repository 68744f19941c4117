/**
 * Alternating pairs and what is made of them. On a machine that is shared with others absolute
 * figures drift by the minute; two legs that follow each other meet about the same conditions, so
 * it is the ratio of each pair that counts, and the median of those.
 *
 * @module
 */

export interface Plan {
  /** How often every leg runs and is counted */
  pairs: number
  /** How often every leg runs before, uncounted */
  warmUps: number
}

export interface Spread {
  median: number
  min: number
  max: number
}

/** For a profile of one side alone: `BENCH_ONLY=ours node --cpu-prof ...` */
const ONLY = process.env.BENCH_ONLY

/** Does its work once, checks that it was done, and returns its figure: so much a second, or ms. */
export type Leg = () => number | Promise<number>

/** Runs the legs in turn, in the order in which they are given: ours, theirs, ours, theirs. */
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
      // What one leg has left behind is not for the next to clear away
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

/** Pair by pair: what `compare` makes of the two figures of each. */
export function perPair(
  ours: readonly number[],
  theirs: readonly number[],
  compare: (ours: number, theirs: number) => number,
): Spread {
  return spread(ours.map((figure, index) => compare(figure, theirs[index] ?? Number.NaN)))
}

/** How many a second, where `work` does `count` of them. */
export async function perSecond(count: number, work: () => void | Promise<void>): Promise<number> {
  const begin = clock()
  await work()
  return (count * 1000) / (clock() - begin)
}

/** How long a piece of work takes, in milliseconds. */
export async function elapsed(work: () => Promise<void>): Promise<number> {
  const begin = clock()
  await work()
  return clock() - begin
}

/**
 * Milliseconds: of the clock, or with `--cpu` those that the processor has spent on this process,
 * for a machine that is busy with something else. Waiting costs nothing by that one.
 */
const clock =
  process.env.BENCH_CLOCK === 'cpu'
    ? () => {
        const { user, system } = process.cpuUsage()
        return (user + system) / 1000
      }
    : () => performance.now()

/** Calls `task` for 0 to `count` - 1, with no more than `limit` of them under way. */
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
