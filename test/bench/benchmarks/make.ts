/**
 * The cost of `new MtaSts()`: a program may make one for each of its customers.
 *
 * @module
 */
import { MtaSts } from 'mta-sts'
import { atMost, type Benchmark, MANY_SHORT, planFor } from '../benchmark.js'
import { alternate, cpuTime, spread } from '../pairs.js'

/** The number of objects, because processor time is counted in coarse steps. */
const AT_A_TIME = 100

export const make: Benchmark = async (mode) => {
  const { ours } = await alternate(
    {
      async ours() {
        const made: MtaSts[] = []
        const begin = cpuTime()
        for (let index = 0; index < AT_A_TIME; index++) made.push(new MtaSts())
        const each = (cpuTime() - begin) / AT_A_TIME
        await Promise.all(made.map((sts) => sts.close()))
        return each
      },
    },
    planFor(mode, MANY_SHORT),
  )
  return {
    rows: [
      {
        name: 'make',
        what: `processor time of new MtaSts(), ${AT_A_TIME} in turn`,
        unit: 'ms',
        ours: spread(ours.values),
        target: atMost(1),
      },
    ],
  }
}
