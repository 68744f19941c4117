/**
 * Messages over a link with a round trip of 20 ms: what counts is how often the sender waits.
 *
 * @module
 */
import { type Benchmark, planFor, type Row } from '../benchmark.js'
import { Network } from '../network.js'
import { DOMAIN, MX_HOST, poolRow } from './pool.js'

const DELAY = 20

export const link: Benchmark = async (mode) => {
  const rows: Row[] = []
  for (const pipelining of [true, false]) {
    // Two waits for each message with PIPELINING, four without it
    const count = mode === 'quick' ? 25 : pipelining ? 500 : 250
    await using network = await Network.start({
      mxHosts: [MX_HOST],
      policyDomains: [DOMAIN],
      sink: { delay: DELAY, pipelining },
    })
    const habit = pipelining ? 'with PIPELINING' : 'without PIPELINING'
    rows.push(
      await poolRow(network, {
        name: 'link',
        what: `${count} messages of 2 KB, every reply ${DELAY} ms late, ${habit}`,
        count,
        plan: planFor(mode),
        target: 1,
      }),
    )
  }
  return { rows }
}
