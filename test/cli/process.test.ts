/** The real process, with its real resolver and the world's name server. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
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

it('asks the name server that it is told to: a domain without mail is fine', async () => {
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

it('could not find out from a name server that is not there: status 3', async () => {
  const { status, stdout } = await mtaSts(
    ...['check', 'a.example', '--resolver', '127.0.0.1:1', '--timeout', '2000'],
  )
  expect(status).toBe(3)
  expect(stdout).toMatch(/^\? the MX records could not be looked up/m)
})

it('ends with status 2 and without a stack trace where the usage is wrong', async () => {
  const { status, stdout, stderr } = await mtaSts('check', '--nonsense')
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
  expect(stderr).toBe(`mta-sts: Unknown option '--nonsense'.\nTry "mta-sts check --help".\n`)
})

it('writes what a domain has to publish', async () => {
  const { status, stdout } = await mtaSts(
    ...['generate', '--domain', 'example.com', '--mx', 'mx.example.com', '--json'],
  )
  expect(status).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ format: 1, domain: 'example.com' })
})
