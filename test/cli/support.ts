/** What the tests of the command share: a mail world for each file, and the command run in it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import type { CheckOutput, CheckReport } from '../../src/cli/check/findings.js'
import type { CliContext } from '../../src/cli/context.js'
import { run } from '../../src/cli/run.js'
import {
  createMailWorld,
  type DomainOptions,
  type MailDomain,
  type MailWorld,
  type MailWorldOptions,
} from '../../src/testing/index.js'

export interface CliResult {
  status: number
  stdout: string
  stderr: string
}

export interface CliOptions {
  env?: CliContext['env']
  /** Both of them are terminals */
  isTTY?: boolean
  /** Of the terminals */
  columns?: number
  connect?: CliContext['connect']
  now?: () => number
  stdin?: CliContext['stdin']
  signal?: AbortSignal
  sleep?: CliContext['sleep']
  dnssecResolver?: CliContext['dnssecResolver']
  /** All timeouts of a sender with its defaults, in milliseconds */
  patience?: number
  /** Called with each piece of standard output */
  onOutput?: (text: string) => void
}

/** Runs the command without a network. */
export async function cli(argv: readonly string[], options: Partial<CliContext> = {}) {
  return capture(argv, options, { isTTY: false })
}

interface CaptureOptions {
  isTTY: boolean
  columns?: number | undefined
  onOutput?: ((text: string) => void) | undefined
}

async function capture(
  argv: readonly string[],
  options: Partial<CliContext>,
  { isTTY, columns, onOutput }: CaptureOptions,
): Promise<CliResult> {
  const result = { status: -1, stdout: '', stderr: '' }
  const output = (name: 'stdout' | 'stderr') => ({
    isTTY,
    columns,
    write: (text: string) => {
      result[name] += text
      if (name === 'stdout') onOutput?.(text)
    },
  })
  const context = { stdout: output('stdout'), stderr: output('stderr'), env: {}, ...options }
  result.status = await run(argv, context)
  return result
}

export interface Stage {
  readonly world: MailWorld
  /** A folder that is gone afterwards */
  readonly folder: string
  /** The root of the world, PEM */
  readonly caFile: string
  /** A domain with a name that no other test has, with TLSRPT */
  domain(options?: DomainOptions): MailDomain
  /** The command inside the world, which it trusts */
  cli(argv: readonly string[], options?: CliOptions): Promise<CliResult>
  /** `check --json` of one domain, and how it ended */
  check(domain: MailDomain | string, ...argv: string[]): Promise<CheckReport & { exit: number }>
  /** The same, by a sender with these timeouts */
  checkWithin(
    patience: number,
    domain: MailDomain | string,
    ...argv: string[]
  ): Promise<CheckReport & { exit: number }>
}

/** Call it at the top of a test file. */
export function useWorld(options?: MailWorldOptions): Stage {
  let world: MailWorld | undefined
  let names = 0
  const folder = mkdtempSync(join(tmpdir(), 'mta-sts-cli-'))
  beforeAll(async () => {
    world = await createMailWorld(options)
    writeFileSync(join(folder, 'ca.pem'), world.ca)
  })
  afterAll(async () => {
    await world?.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const stage: Stage = {
    folder,
    caFile: join(folder, 'ca.pem'),
    get world() {
      if (world === undefined) throw new Error('The world is made before the first test')
      return world
    },
    domain(options) {
      const name = `d${++names}.example`
      stage.world.dns.set(`_smtp._tls.${name}`, 'TXT', [`v=TLSRPTv1; rua=mailto:tls@${name}`])
      return stage.world.domain(name, options)
    },
    cli(argv, options = {}) {
      const {
        isTTY = false,
        columns,
        env = {},
        connect,
        now,
        patience,
        onOutput,
        ...rest
      } = options
      const { resolver, ...sender } = stage.world.options()
      const timeouts = { fetch: patience, connection: patience, reply: patience }
      const context = {
        ...{ env, resolver, timeouts, ...rest },
        connect: connect ?? sender.connect,
        now: now ?? sender.now,
      }
      const connects = argv[0] === 'check' || argv[0] === 'watch'
      const trusting = connects ? [...argv, '--ca', join(folder, 'ca.pem')] : argv
      return capture(trusting, context, { isTTY, columns, onOutput })
    },
    check(domain, ...argv) {
      return look(domain, argv, {})
    },
    checkWithin(patience, domain, ...argv) {
      return look(domain, argv, { patience })
    },
  }
  async function look(domain: MailDomain | string, argv: string[], options: CliOptions) {
    const name = typeof domain === 'string' ? domain : domain.name
    const { status, stdout } = await stage.cli(['check', '--json', name, ...argv], options)
    const output: CheckOutput = JSON.parse(stdout)
    const [report] = output.domains
    if (report === undefined) throw new Error('There should be a report')
    return { ...report, exit: status }
  }
  return stage
}

export function longestLine(text: string): number {
  return Math.max(...text.split('\n').map((line) => line.length))
}

/** The codes of the advice, but for IPv6: the hosts of a world have IPv4 addresses only. */
export function adviceCodes({ advice }: CheckReport): string[] {
  return advice.map(({ code }) => code).filter((code) => code !== 'mx-ipv6-missing')
}

/** What SQLite stores need: Node 22.13. */
export function hasSqlite(): boolean {
  return process.getBuiltinModule('node:sqlite') !== undefined
}
