/**
 * A store with a million policies beside one with ten thousand: the start of a process, its first
 * delivery, and the pass that fetches what is due.
 *
 * @module
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { MtaSts, type PolicyStore } from 'mta-sts'
import { atMost, type Benchmark, type Mode, pairedRow, type Row } from '../benchmark.js'
import { ADDRESS, Network, RECORD } from '../network.js'
import { alternate } from '../pairs.js'
import { peakMemory } from '../peak.js'
import { BACKENDS, type Backend, type FilledStore, MX_HOST } from '../stores.js'

/** One policy of this many is due. */
const DUE = 100

/** Milliseconds in which the first pass is begun. */
const FIRST_PASS = 1000

const PLAN = { pairs: 7, warmUps: 1 }

export const million: Benchmark = async (mode) => {
  const [many, few] = mode === 'quick' ? [2000, 200] : [1_000_000, 10_000]
  await using network = await Network.start({
    mxHosts: [MX_HOST],
    policyDomains: Array.from({ length: many / DUE }, (_, index) => domainOf(index * DUE)),
    domainsPerCertificate: 50,
  })
  const rows: Row[] = []
  const skipped: string[] = []
  for (const backend of BACKENDS) {
    const why = await backend.whyNot()
    if (why === undefined) rows.push(...(await rowsOf(backend, { network, mode, many, few })))
    else skipped.push(`million with ${backend.name}: ${why}`)
  }
  return { rows, skipped }
}

/** The domain of a row. */
function domainOf(index: number): string {
  return `d${index}.example`
}

interface Sizes {
  network: Network
  mode: Mode
  many: number
  few: number
}

async function rowsOf(backend: Backend, { network, mode, many, few }: Sizes): Promise<Row[]> {
  await using large = await backend.fill(many, DUE)
  await using small = await backend.fill(few, DUE)
  const stores = { ours: large, theirs: small }
  const plan = mode === 'quick' ? { pairs: 1, warmUps: 0 } : PLAN
  const size = { ours: many, theirs: few }
  const starts = await alternate(
    { ours: () => start(large, network), theirs: () => start(small, network) },
    plan,
  )
  const deliveries = await alternate(
    {
      ours: () => firstDelivery(large, network, many),
      theirs: () => firstDelivery(small, network, few),
    },
    plan,
  )
  const passes = { ours: [] as Pass[], theirs: [] as Pass[] }
  // Policies fetched by one pass are not due for the next
  for (const side of ['theirs', 'ours'] as const) {
    const pass = await passOf(stores[side], network)
    const { gets } = await network.policyHosts.take()
    const due = size[side] / DUE
    if (pass.renewed !== due || gets !== due) {
      throw new Error(`${due} policies were due, ${pass.renewed} renewed, ${gets} fetched`)
    }
    passes[side].push(pass)
  }
  const figures = (of: (pass: Pass) => number) => ({
    ours: { values: passes.ours.map(of) },
    theirs: { values: passes.theirs.map(of) },
  })
  const what = `of ${many} policies in ${backend.name}`
  const row = { name: 'million', beside: `the same of ${few}` } as const
  return [
    pairedRow(starts, {
      ...row,
      what: `start with a store ${what}`,
      unit: 'ms',
      target: atMost(1.2, 'compared'),
    }),
    pairedRow(deliveries, {
      ...row,
      what: `first delivery, to a domain ${what}`,
      unit: 'ms',
      target: atMost(1.2, 'compared'),
    }),
    pairedRow(
      figures(({ read, renewed }) => read / renewed),
      {
        ...row,
        what: `entries read by a pass for each that is due, 1 % ${what}`,
        unit: '',
        target: atMost(1),
      },
    ),
    pairedRow(
      figures(({ renewed, ms }) => (renewed * 1000) / ms),
      { ...row, what: `policies fetched by a pass, 1 % ${what}`, unit: '/s' },
    ),
    pairedRow(
      figures(({ peak }) => peak / 2 ** 20),
      {
        ...row,
        what: `memory at its peak in a pass, 1 % ${what}`,
        unit: 'MB',
        by: 'difference',
        target: atMost(100, 'compared'),
      },
    ),
  ]
}

/** Answers every name at once with the same. */
const RESOLVER = {
  resolveTxt: async () => [[RECORD]],
  resolveMx: async () => [{ exchange: MX_HOST, priority: 10 }],
  resolve4: async () => [ADDRESS],
  resolve6: async () => [],
}

function stsOf(store: PolicyStore, network: Network, refreshInterval: number): MtaSts {
  const { ca, connect } = network.senderOptions()
  return new MtaSts({ resolver: RESOLVER, ca, connect, store, refreshInterval })
}

/** Opens the store and makes an object that uses it, after the store has answered. */
async function start(filled: FilledStore, network: Network): Promise<number> {
  const begin = performance.now()
  const store = filled.open()
  await using sts = stsOf(store, network, 0)
  await sts.verify()
  return performance.now() - begin
}

/** Delivers to one domain in the middle, in a process with an empty cache. */
async function firstDelivery(filled: FilledStore, network: Network, size: number): Promise<number> {
  await using sts = stsOf(filled.open(), network, 0)
  await sts.verify()
  const domain = domainOf(size / 2 + 1)
  const begin = performance.now()
  const level = await sts.deliver(domain, async ({ security }) => security.level)
  const took = performance.now() - begin
  if (level !== 'authenticated') throw new Error(`${domain} has no policy in the store`)
  return took
}

interface Pass {
  renewed: number
  /** Entries that the store was asked for as due */
  read: number
  ms: number
  /** Bytes */
  peak: number
}

/** Waits for an automatic pass. */
async function passOf(filled: FilledStore, network: Network): Promise<Pass> {
  let read = 0
  let begin = 0
  let ms = 0
  let renewed = 0
  const store = filled.open()
  const { due } = store
  if (due === undefined) throw new Error('The store cannot say what is due')
  const counting: PolicyStore = {
    ...store,
    async *due(time) {
      begin = performance.now()
      for await (const entry of due.call(store, time)) {
        read++
        yield entry
      }
    },
    list() {
      throw new Error('The pass reads everything')
    },
  }
  let listener: (event: unknown) => void = () => undefined
  const peak = await peakMemory(async () => {
    const sts = stsOf(counting, network, FIRST_PASS)
    await new Promise<void>((resolve) => {
      listener = (event) => {
        ms = performance.now() - begin
        renewed = (event as { renewed: number }).renewed
        resolve()
      }
      subscribe('mta-sts:refresh', listener)
    })
    unsubscribe('mta-sts:refresh', listener)
    await sts.close()
  })
  return { renewed, read, ms, peak }
}
