/** The real process, with its own resolver and the name server of the mail world. */
import { spawn, spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, vi } from 'vitest'
import { runCommand } from '../../src/cli/watch/run-command.js'
import { type CliResult, useWorld } from './support.js'

const stage = useWorld()
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

async function mtaSts(...argv: string[]): Promise<CliResult> {
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...argv], { cwd: ROOT })
  const result = { status: -1, stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => {
    result.stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    result.stderr += chunk
  })
  const [status] = await once(child, 'close')
  return { ...result, status }
}

function network(): string[] {
  const server = `127.0.0.1:${stage.world.dns.port}`
  return ['--resolver', server, '--ca', join(stage.folder, 'ca.pem'), '--timeout', '20000']
}

it('asks the name server of --resolver: a domain without mail is fine', async () => {
  const domain = stage.domain()
  domain.dns.fails('null-mx')
  stage.world.dns.set(`mta-sts.${domain.name}`, 'A', [])
  const { status, stdout, stderr } = await mtaSts('check', domain.name, ...network())
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toContain('✓ the domain takes no mail (null MX record, RFC 7505)')
})

it('does not connect to addresses of this machine, and ends with status 1', async () => {
  const domain = stage.domain({ mode: 'enforce' })
  stage.world.dns.set(`mta-sts.${domain.name}`, 'A', ['127.0.0.1'])
  const { status, stdout, stderr } = await mtaSts('check', '--json', domain.name, ...network())
  expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
  const [report] = JSON.parse(stdout).domains
  expect(report.policyHost).toMatchObject({ blocked: ['127.0.0.1'], addresses: [] })
  expect(report.verdict.text).toContain('blocked-address')
})

it('ends with status 3 where the name server does not answer', async () => {
  const { status, stdout } = await mtaSts(
    ...['check', 'a.example', '--resolver', '127.0.0.1:1', '--timeout', '2000'],
  )
  expect(status).toBe(3)
  const text = stdout.replace(/\s+/g, ' ')
  expect(text).toContain('? the MX records could not be looked up: the name server 127.0.0.1:1 ')
  expect(text).toContain('cannot be reached: connection refused')
})

it('names the name server that does not answer', async () => {
  const silent = createSocket('udp4')
  silent.bind(0, '127.0.0.1')
  await once(silent, 'listening')
  const server = `127.0.0.1:${silent.address().port}`
  const { status, stdout, stderr } = await mtaSts(
    ...['check', 'a.example', '--resolver', server, '--timeout', '50'],
  )
  silent.close()
  // No warning of Node about a timer that is negative
  expect({ status, stderr }).toEqual({ status: 3, stderr: '' })
  expect(stdout.replace(/\s+/g, ' ')).toContain(`the name server ${server} does not answer`)
})

describe.skipIf(!existsSync('/dev/full'))('output that cannot be written', () => {
  it.each([
    [['--help']],
    [['generate', '--domain', 'example.com', '--mx', 'mx.example.com']],
    [['check', '--json', 'a.example', '--resolver', '127.0.0.1:1']],
  ])('%j > /dev/full: status 3, one line on stderr', async (argv) => {
    const full = await open('/dev/full', 'w')
    const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...argv], {
      cwd: ROOT,
      stdio: ['ignore', full.fd, 'pipe'],
    })
    let stderr = ''
    child.stderr?.on('data', (chunk) => {
      stderr += chunk
    })
    const [status] = await once(child, 'close')
    await full.close()
    expect(status).toBe(3)
    expect(stderr).toMatch(/^mta-sts: the output cannot be written \(ENOSPC.*\)\n$/)
  })
})

it('ends with the worst status where `head` closes the pipe', async () => {
  const domains = [0, 1, 2].map(() => {
    const domain = stage.domain()
    domain.dns.fails('null-mx')
    stage.world.dns.set(`mta-sts.${domain.name}`, 'A', [])
    return domain.name
  })
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', MAIN, 'check', '--brief', ...domains, 'no-such.example', ...network()],
    { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  child.stdout.destroy()
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const [status] = await once(child, 'close')
  expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
})

it.each([
  ['Ctrl-C', 'SIGINT'],
  ['SIGTERM', 'SIGTERM'],
] as const)('prints the results so far at %s, and ends with status 3', async (_, signal) => {
  const domain = stage.domain({ mode: 'enforce' })
  for (const where of ['record', 'mx', 'policy-host'] as const) domain.dns.fails('timeout', where)
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', MAIN, 'check', '--json', domain.name, ...network()],
    { cwd: ROOT },
  )
  const result = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => {
    // A second one would end the process
    if (result.stdout === '') child.kill(signal)
    result.stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    result.stderr += chunk
  })
  const [status] = await once(child, 'close')
  expect(JSON.parse(result.stdout)).toEqual({ format: 1, domains: [] })
  expect(result.stderr).toBe('mta-sts: Interrupted: 0 of 1 were looked at.\n')
  expect(status).toBe(3)
})

it('ends with status 2 and without a stack trace where the usage is wrong', async () => {
  const { status, stdout, stderr } = await mtaSts('check', '--nonsense')
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
  expect(stderr).toBe(`mta-sts: Unknown option '--nonsense'.\nTry "mta-sts check --help".\n`)
})

it('writes a setup with generate', async () => {
  const { status, stdout } = await mtaSts(
    ...['generate', '--domain', 'example.com', '--mx', 'mx.example.com', '--json'],
  )
  expect(status).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ format: 1, domain: 'example.com' })
})

describe('the command of watch --run', () => {
  it('ends a command that hangs, and what it has started', async () => {
    const { output, run } = commandRunner()
    await run('sleep 60 & echo $!; wait', 400)
    expect(output.stderr).toBe(
      'mta-sts: --run: the command did not end within 0.4 seconds, and was ended\n',
    )
    // Gone, or a zombie that the system has not taken away yet
    const state = () =>
      spawnSync('ps', ['-o', 'stat=', '-p', output.stdout.trim()]).stdout.toString()
    await vi.waitFor(() => expect(state()).toMatch(/^(?:Z|$)/))
  })

  it('does not wait for a process that the command leaves in the background', async () => {
    const { output, run } = commandRunner()
    await run('sleep 60 & echo $$', 30_000)
    expect(output.stderr).toBe('')
    process.kill(-Number(output.stdout), 'SIGKILL')
  })
})

function commandRunner() {
  const output = { stdout: '', stderr: '' }
  const into = (name: keyof typeof output) => ({
    write: (text: string) => {
      output[name] += text
    },
  })
  const context = { stdout: into('stdout'), stderr: into('stderr'), env: process.env }
  const run = (command: string, limit: number) =>
    runCommand(command, { context, env: process.env, output: context.stdout, limit })
  return { output, run }
}
