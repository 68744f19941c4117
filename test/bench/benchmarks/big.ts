/**
 * Large messages with attachments, which are read from files while they are sent.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atLeast, atMost, type Benchmark, pairedRow, planFor } from '../benchmark.js'
import { checkTaken, messageTo } from '../messages.js'
import { Network } from '../network.js'
import { alternate, inFlight, perSecond } from '../pairs.js'
import { peakMemory } from '../peak.js'
import { BESIDE_POOL, DOMAIN, LIMITS, MX_HOST, poolTransporters, RECIPIENT } from './pool.js'

/** Three attachments; in base64 they are 5 MB. */
const ATTACHMENTS = 3
const ATTACHMENT_SIZE = 1_220_000

/** Less than in base64, which adds line ends to its third. */
const MESSAGE_SIZE = ATTACHMENTS * ATTACHMENT_SIZE * (4 / 3)

export const big: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 5 : 100
  await using network = await Network.start({ mxHosts: [MX_HOST], policyDomains: [DOMAIN] })
  const folder = await mkdtemp(join(tmpdir(), 'mta-sts-bench-'))
  const attachments = Array.from({ length: ATTACHMENTS }, (_, index) => ({
    path: join(folder, `${index}.bin`),
  }))
  for (const { path } of attachments) await writeFile(path, randomBytes(ATTACHMENT_SIZE))

  const [ours, theirs] = poolTransporters(network)
  const leg = (transporter: typeof ours, memory: number[]) => async () => {
    const send = () => transporter.sendMail({ ...messageTo(RECIPIENT), attachments })
    let rate = 0
    const peak = await peakMemory(async () => {
      rate = await perSecond(count, () => inFlight(count, LIMITS.maxConnections, send))
    })
    await checkTaken(network.sink, { messages: count, size: MESSAGE_SIZE })
    memory.push(peak / 2 ** 20)
    return rate
  }
  const memory = { ours: [] as number[], theirs: [] as number[] }
  const plan = planFor(mode)
  const figures = await alternate(
    { ours: leg(ours, memory.ours), theirs: leg(theirs, memory.theirs) },
    plan,
  )
  ours.close()
  theirs.close()
  await rm(folder, { recursive: true })
  const what = `${count} messages of 5 MB with ${ATTACHMENTS} attachments, ${LIMITS.maxConnections} at once`
  const counted = (values: readonly number[]) => ({ values: values.slice(plan.warmUps) })
  return {
    rows: [
      pairedRow(figures, {
        name: 'big',
        what,
        beside: BESIDE_POOL,
        unit: '/s',
        sameWork: true,
        target: atLeast(1),
      }),
      pairedRow(
        { ours: counted(memory.ours), theirs: counted(memory.theirs) },
        {
          name: 'big',
          what: `memory at its peak, ${what}`,
          beside: BESIDE_POOL,
          unit: 'MB',
          by: 'difference',
          target: atMost(64, 'compared'),
        },
      ),
    ],
  }
}
