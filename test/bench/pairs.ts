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

/** The figures of one leg, one for each round. */
export interface Figures {
  values: number[]
  /** Milliseconds of processor time that this process spent on the leg */
  cpu: number[]
}

/** Runs the legs in turn, in the order in which they are given: ours, theirs, ours, theirs. */
export async function alternate<Name extends string>(
  legs: Record<Name, Leg>,
  { pairs, warmUps }: Plan,
): Promise<Record<Name, Figures>> {
  const names = Object.keys(legs) as Name[]
  const all = Object.fromEntries(
    names.map((name) => [name, { values: [], cpu: [] }]),
  ) as unknown as Record<Name, Figures>
  for (let round = -warmUps; round < pairs; round++) {
    for (const name of names) {
      if (ONLY !== undefined && name !== ONLY) continue
      // The garbage of one leg is not collected during the next
      globalThis.gc?.()
      const begin = cpuTime()
      const value = await legs[name]()
      if (round < 0) continue
      all[name].values.push(value)
      all[name].cpu.push(cpuTime() - begin)
    }
  }
  return all
}

/** Milliseconds of processor time, user and system, that this process has used. */
export function cpuTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
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

/** How long a piece of work takes, in milliseconds. */
export async function elapsed(work: () => Promise<void>): Promise<number> {
  const begin = clock()
  await work()
  return clock() - begin
}

/**
 * Milliseconds: of the clock, or with `BENCH_CLOCK=cpu` those that the processor has spent on this
 * process, for a machine that is busy with something else. Waiting costs nothing by that one.
 */
const clock = process.env.BENCH_CLOCK === 'cpu' ? cpuTime : () => performance.now()

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
