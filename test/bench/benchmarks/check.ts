/**
 * `mta-sts check` of a long list: time to the first output, total time, open connections.
 *
 * @module
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectTarget } from 'mta-sts'
import { run } from '../../../src/cli/run.js'
import { type Benchmark, planFor } from '../benchmark.js'
import { domainNames, Network } from '../network.js'
import { spread } from '../pairs.js'

const FLEET = ['mx1.fleet.example', 'mx2.fleet.example', 'mx3.fleet.example']

/** Of a hundred domains: those without any DNS answer, those without a policy host. */
const DEAD = 1
const WITHOUT_POLICY = 20

interface Figures {
  firstByte: number
  perSecond: number
  sockets: number
  dials: number
}

export const check: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 100 : 5000
  const names = domainNames(count, 'listed')
  const policyDomains = names.filter((_, index) => index % 100 >= WITHOUT_POLICY)
  const folder = await mkdtemp(join(tmpdir(), 'mta-sts-bench-'))
  await using network = await Network.start({ mxHosts: FLEET, policyDomains })
  const ca = join(folder, 'ca.pem')
  await writeFile(ca, network.ca)
  const { pairs } = planFor(mode, { pairs: 3 })
  const all: Figures[] = []
  for (let n = 0; n < pairs; n++) all.push(await once(names, network, ca))
  await rm(folder, { recursive: true })
  const what = `check --connect --brief of ${count} domains, ${DEAD} % dead, ${WITHOUT_POLICY} % without a policy host`
  const of = (figure: keyof Figures) => spread(all.map((one) => one[figure]))
  const atMost = (value: number) => ({ of: 'ours', bound: 'at-most', value }) as const
  return {
    rows: [
      {
        name: 'check',
        what: `first byte, ${what}`,
        unit: 'ms',
        ours: of('firstByte'),
        target: atMost(1000),
      },
      { name: 'check', what, unit: '/s', ours: of('perSecond') },
      {
        name: 'check',
        what: 'connections open at a time',
        unit: '',
        ours: of('sockets'),
        target: atMost(64),
      },
      {
        name: 'check',
        what: 'connections to the one address of all MX hosts',
        unit: '',
        ours: of('dials'),
        target: atMost(1),
      },
    ],
  }
}

async function once(names: readonly string[], network: Network, ca: string): Promise<Figures> {
  const { connect, resolver } = network.senderOptions()
  const dead = new Set(names.filter((_, index) => index % 100 < DEAD))
  const isDead = (name: string) =>
    [...name.matchAll(/listed\d+\.example/g)].some(([one]) => dead.has(one))
  const never = () => new Promise<never>(() => undefined)
  const mortal =
    <T>(query: (name: string) => Promise<T>) =>
    (name: string) =>
      isDead(name) ? never() : query(name)
  let [open, sockets, dials, lines, firstByte] = [0, 0, 0, 0, 0]
  const begun = performance.now()
  const counted = (target: ConnectTarget): Socket => {
    open++
    sockets = Math.max(sockets, open)
    if (target.purpose === 'smtp') dials++
    const socket = connect(target)
    socket.once('close', () => open--)
    return socket
  }
  const status = await run(['check', '--connect', '--brief', '--ca', ca, '-'], {
    stdout: {
      write(text: string) {
        firstByte ||= performance.now() - begun
        lines += text.split('\n').length - 1
      },
    },
    stderr: process.stderr,
    env: {},
    stdin: listOf(names),
    connect: counted,
    resolver: {
      resolveTxt: mortal((name) => resolver.resolveTxt(name)),
      resolveMx: mortal((name) => resolver.resolveMx(name)),
      resolve4: mortal((name) => resolver.resolve4(name)),
      resolve6: mortal((name) => resolver.resolve6(name)),
    },
  })
  const seconds = (performance.now() - begun) / 1000
  if (lines !== names.length + 1) throw new Error(`There were ${lines} lines`)
  if (status !== 1) throw new Error(`The status was ${status}`)
  return { firstByte, perSecond: names.length / seconds, sockets, dials }
}

async function* listOf(names: readonly string[]): AsyncGenerator<string> {
  yield `${names.join('\n')}\n`
}
