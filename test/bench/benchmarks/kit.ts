/**
 * What a test waits for `mta-sts/testing`: the import, the first delivery, the next worlds, a new
 * domain, many messages. Each figure is given in time and in processor time.
 *
 * @module
 */
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { promisify } from 'node:util'
import { mtaStsTransport } from 'mta-sts/nodemailer'
import { createMailWorld } from 'mta-sts/testing'
import { createTransport } from 'nodemailer'
import { installedPackage } from '../../package/packed.js'
import { atMost, type Benchmark, type Mode, planFor, type Row } from '../benchmark.js'
import { alternate, cpuTime, inFlight, spread } from '../pairs.js'

const MESSAGE = { from: 'a@sender.example', to: 'b@bob.example', subject: 'Hi', text: 'Hello' }

/** Milliseconds of the clock and of the processor. */
interface Cost {
  ms: number
  cpu: number
}

/** The stages of a test's process: the import, its first world, and one of those that follow. */
const STAGES = ['import', 'first', 'warm'] as const
type Stages = Record<(typeof STAGES)[number], Cost>

const WHAT: Readonly<Record<keyof Stages, { what: string; most: number }>> = {
  import: { what: 'import of mta-sts/testing, with its packages, into bare node', most: 150 },
  first: { what: 'first world of that process, to its first delivery under enforce', most: 120 },
  warm: { what: 'the tenth world of that process, to its first delivery under enforce', most: 30 },
}

export const kit: Benchmark = async (mode) => ({
  rows: [...(await processRows(mode)), ...(await domainRows(mode)), ...(await messageRows(mode))],
})

/** The rows of a process that runs one test file. */
async function processRows(mode: Mode): Promise<Row[]> {
  const folder = await installedPackage('nodemailer', 'smtp-server', 'dns-packet', 'postal-mime')
  const found: Stages[] = []
  try {
    const { pairs, warmUps } = planFor(mode, { pairs: 9 })
    for (let round = -warmUps; round < pairs; round++) {
      const stages = await testProcess(folder)
      if (round >= 0) found.push(stages)
    }
  } finally {
    await rm(folder, { recursive: true })
  }
  return STAGES.flatMap((stage) =>
    timedRows(
      found.map((one) => one[stage]),
      WHAT[stage],
    ),
  )
}

const PROGRAM = `
  const cost = async (work) => {
    const cpu = process.cpuUsage()
    const begin = performance.now()
    const result = await work()
    const ms = performance.now() - begin
    const { user, system } = process.cpuUsage(cpu)
    return { result, ms, cpu: (user + system) / 1000 }
  }
  // What the sender loads is not the kit's
  const { createTransport } = await import('nodemailer')
  const { mtaStsTransport } = await import('mta-sts/nodemailer')
  const imported = await cost(() => import('mta-sts/testing'))
  const { createMailWorld } = imported.result
  const useOne = async () => {
    const used = await cost(async () => {
      const world = await createMailWorld()
      const bob = world.domain('bob.example', { mode: 'enforce' })
      const transporter = createTransport(mtaStsTransport(world.options()))
      const info = await transporter.sendMail(${JSON.stringify(MESSAGE)})
      return { world, bob, info, transporter }
    })
    const { world, bob, info, transporter } = used.result
    if (bob.inbox.length !== 1 || info.accepted.length !== 1 || world.gets.length !== 1) {
      throw new Error('The message has not arrived under its policy')
    }
    transporter.close()
    await world.close()
    return { ms: used.ms, cpu: used.cpu }
  }
  const first = await useOne()
  for (let n = 0; n < 8; n++) await useOne()
  const warm = await useOne()
  const { result, ...cold } = imported
  process.stdout.write(JSON.stringify({ import: cold, first, warm }))
`

async function testProcess(cwd: string): Promise<Stages> {
  const args = ['--input-type=module', '--eval', PROGRAM]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd })
  return JSON.parse(stdout) as Stages
}

/** The rows of a new domain in a world that is there already. */
async function domainRows(mode: Mode): Promise<Row[]> {
  await using world = await createMailWorld()
  const transporter = createTransport(mtaStsTransport(world.options()))
  const costs: Cost[] = []
  const count = mode === 'quick' ? 3 : 100
  for (let index = 0; index < count; index++) {
    const name = `d${index}.example`
    const cpu = cpuTime()
    const begin = performance.now()
    const domain = world.domain(name, { mode: 'enforce' })
    await transporter.sendMail({ ...MESSAGE, to: `b@${name}` })
    costs.push({ ms: performance.now() - begin, cpu: cpuTime() - cpu })
    checkCount(domain.inbox.length, 1)
    checkCount(domain.policyHost.gets.length, 1)
  }
  transporter.close()
  return timedRows(costs, { what: 'a new enforce domain and its first delivery', most: 15 })
}

/** The rows of many messages, of which sender and world share the processor. */
async function messageRows(mode: Mode): Promise<Row[]> {
  const count = mode === 'quick' ? 50 : 10_000
  const rates: number[] = []
  const plan = planFor(mode)
  const { ours } = await alternate(
    {
      async ours() {
        await using world = await createMailWorld()
        const bob = world.domain('bob.example', { mode: 'enforce' })
        const transporter = createTransport(mtaStsTransport(world.options()))
        let accepted = 0
        const cpu = cpuTime()
        const begin = performance.now()
        await inFlight(count, 50, async () => {
          const info = await transporter.sendMail(MESSAGE)
          accepted += info.accepted.length
        })
        rates.push((count * 1000) / (performance.now() - begin))
        const each = (cpuTime() - cpu) / count
        checkCount(accepted, count)
        checkCount(bob.inbox.length, count)
        transporter.close()
        return each
      },
    },
    plan,
  )
  const what = `${count} messages by mtaStsTransport to an enforce domain of a world`
  return [
    {
      name: 'kit',
      what: `${what}, in one process`,
      unit: '/s',
      ours: spread(rates.slice(plan.warmUps)),
      target: { of: 'ours', bound: 'at-least', value: 1000 },
    },
    { name: 'kit', what: `processor time of each: ${what}`, unit: 'ms', ours: spread(ours.values) },
  ]
}

function timedRows(costs: readonly Cost[], { what, most }: { what: string; most: number }): Row[] {
  return [
    {
      name: 'kit',
      what,
      unit: 'ms',
      ours: spread(costs.map(({ ms }) => ms)),
      target: atMost(most),
    },
    {
      name: 'kit',
      what: `processor time: ${what}`,
      unit: 'ms',
      ours: spread(costs.map(({ cpu }) => cpu)),
    },
  ]
}

function checkCount(found: number, expected: number): void {
  if (found !== expected) throw new Error(`${found} of ${expected} are there`)
}
