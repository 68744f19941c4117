/**
 * Beside postfix-mta-sts-resolver, which takes neither a resolver nor a port: in the network
 * namespaces of the lab, with its BIND, Unbound and nginx.
 *
 * @module
 */
import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Bind } from '../../lab/bind.js'
import { Certificates } from '../../lab/certificates.js'
import { LAB_DIRECTORY, removeLab } from '../../lab/lab.js'
import { ADDRESSES, createNetwork, type Network, removeStaleNetworks } from '../../lab/network.js'
import { Nginx } from '../../lab/nginx.js'
import { place } from '../../lab/placement.js'
import { missingRequirements } from '../../lab/requirements.js'
import { Daemon, run } from '../../lab/shell.js'
import { Unbound } from '../../lab/unbound.js'
import { enforce, nobody, proved } from '../../lab/vocabulary.js'
import type { Rates } from '../asker.js'
import { type Benchmark, pairedRow, planFor } from '../benchmark.js'
import { alternate } from '../pairs.js'

const NAME = 'postfix-mta-sts-resolver'
const BESIDE = `${NAME} in its own process, asked as by Postfix`

const IN_FLIGHT = 64

/** The compiled file, beside the bundle with this module. */
const ASKER = fileURLToPath(new URL('./asker.js', import.meta.url))

export const daemon: Benchmark = async (mode) => {
  const missing = await missingParts()
  if (missing.length > 0) return { rows: [], skipped: [`daemon: ${missing.join(' ')}`] }
  const count = mode === 'quick' ? 20 : 240
  const rounds = mode === 'quick' ? 2 : 100
  try {
    const { ask } = await startLab(count, rounds)
    const cached: Record<'ours' | 'theirs', number[]> = { ours: [], theirs: [] }
    const legOf = (side: 'ours' | 'theirs') => async () => {
      const rates = await ask(side)
      cached[side].push(rates.cached)
      return rates.cold
    }
    const plan = planFor(mode)
    const cold = await alternate({ ours: legOf('ours'), theirs: legOf('theirs') }, plan)
    const counted = (values: readonly number[]) => ({ values: values.slice(plan.warmUps) })
    const common = { name: 'daemon', beside: BESIDE, unit: '/s' } as const
    return {
      rows: [
        pairedRow(cold, {
          ...common,
          what: `discoveries of ${count / 2} domains, ${IN_FLIGHT} in flight, with Unbound, BIND and nginx`,
        }),
        pairedRow(
          { ours: counted(cached.ours), theirs: counted(cached.theirs) },
          { ...common, what: `answers for ${count / 2} cached domains, ${IN_FLIGHT} in flight` },
        ),
      ],
    }
  } finally {
    removeLab(false)
  }
}

async function missingParts(): Promise<string[]> {
  const missing = await missingRequirements()
  const path = await run('sh', ['-c', 'command -v mta-sts-daemon']).catch(() => undefined)
  return path === undefined ? [...missing, `${NAME} is not installed.`] : missing
}

/** Starts the servers; `ask` runs a side with nothing cached, and checks that it did the work. */
async function startLab(count: number, rounds: number) {
  removeStaleNetworks()
  const directory = await mkdtemp(join(tmpdir(), `${LAB_DIRECTORY}${process.pid}-`))
  // The servers have their own users
  await chmod(directory, 0o755)
  const table = Array.from({ length: count }, (_, index) => ({
    name: `d${index}`,
    policy: enforce('mx', { family: 4 }),
    mx: [nobody('mx')],
    expected: proved('mx'),
  }))
  const { domains } = place(table)
  const network = await createNetwork(0)
  await mkdir(join(directory, 'certificates'))
  const certificates = await Certificates.create(join(directory, 'certificates'))
  const { ipv4 } = ADDRESSES.policyHosts
  const nginx = new Nginx(network.servers, join(directory, 'nginx'), [ipv4])
  await nginx.configure(domains, certificates)
  const bind = new Bind(network.servers, join(directory, 'bind'))
  await Promise.all([bind.start(domains), nginx.start()])
  await new Unbound(network.servers, join(directory, 'unbound')).start()

  const gets = async () => {
    const counts = await nginx.requests()
    return domains.map(({ policyHost }) => counts.get(policyHost) ?? 0)
  }
  const side = { network, directory, certificates, count, rounds }
  const ask = async (name: 'ours' | 'theirs'): Promise<Rates> => {
    const before = await gets()
    const rates = await (name === 'ours' ? askOurs(side) : askTheirs(side))
    const after = await gets()
    const wrong = after.filter((found, index) => found !== (before[index] ?? 0) + 1).length
    if (wrong > 0) throw new Error(`${name}: ${wrong} of ${count} hosts had other than one GET`)
    return rates
  }
  return { ask }
}

interface Side {
  network: Network
  directory: string
  certificates: Certificates
  count: number
  rounds: number
}

async function askOurs(side: Side): Promise<Rates> {
  return await rates('ours', side, { NODE_EXTRA_CA_CERTS: side.certificates.rootFile })
}

/** A daemon of its own for each run: what it has cached goes with it. */
async function askTheirs(side: Side): Promise<Rates> {
  const { network, directory, certificates } = side
  const config = join(directory, 'mta-sts-daemon.yml')
  await writeFile(config, 'cache:\n  type: internal\n')
  const settings = `SSL_CERT_FILE=${certificates.rootFile}`
  const command = ['env', settings, 'mta-sts-daemon', '-c', config, '-v', 'warn']
  const server = new Daemon(NAME, network.sender.command(...command), join(directory, 'daemon'))
  try {
    await network.sender.listening('127.0.0.1', 8461, server)
    return await rates('theirs', side)
  } finally {
    await server.stop('SIGKILL')
  }
}

async function rates(name: string, side: Side, env: NodeJS.ProcessEnv = {}): Promise<Rates> {
  const { network, count, rounds } = side
  const numbers = [count, rounds, IN_FLIGHT].map(String)
  const line = network.sender.command(process.execPath, ASKER, name, ...numbers)
  const [program = '', ...args] = line
  const { PATH, HOME } = process.env
  return JSON.parse(await run(program, args, { env: { PATH, HOME, ...env } }))
}
