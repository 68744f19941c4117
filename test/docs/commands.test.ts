/**
 * What a reader types, as a new user would: the packages from the tarball into an empty folder, and
 * the command from there.
 */
import { execFile } from 'node:child_process'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMailWorld } from '../../src/testing/index.js'
import { hasSqlite } from '../cli/support.js'
import { installedPackage, run } from '../package/packed.js'
import {
  COMMANDS,
  FOR_CONTRIBUTORS,
  INSTALLS,
  OPENSSL,
  PRELOADED,
  TYPED,
  type Typed,
} from './commands.js'
import { pageAt, ROOT } from './markdown.js'

const lines = (typed: readonly Typed[]) => typed.map((one) => [one.text, one] as const)

it('is all run, or for contributors', () => {
  const run = new Set([...INSTALLS, ...COMMANDS, ...PRELOADED, ...OPENSSL, ...FOR_CONTRIBUTORS])
  const others = TYPED.filter((typed) => !run.has(typed))
  expect(others).toEqual([])
  expect([INSTALLS.length, COMMANDS.length, OPENSSL.length]).toEqual([5, 3, 2])
})

it.each(lines(PRELOADED))('%s: the package has that entry', (text) => {
  const { exports }: { exports: Record<string, unknown> } = JSON.parse(pageAt('package.json'))
  const [, , entry = ''] = text.split(' ')
  expect(Object.keys(exports)).toContain(entry.replace('mta-sts', '.'))
})

/** `npm install --save-dev a b`: the packages. */
function packagesOf({ text }: Typed): string[] {
  return text.split(' ').filter((word) => !/^(npm|install|--save-dev)$/.test(word))
}

describe('in an empty folder', () => {
  let folder = ''

  beforeAll(async () => {
    const names = new Set(INSTALLS.flatMap(packagesOf))
    expect(names.delete('mta-sts')).toBe(true)
    folder = await installedPackage(...names)
  }, 300_000)
  afterAll(() => rm(folder, { recursive: true }))

  it.each(lines(INSTALLS))('%s', (_, typed) => {
    for (const name of packagesOf(typed)) {
      expect(existsSync(join(folder, 'node_modules', name, 'package.json'))).toBe(true)
    }
  })

  /** The program that npx would find. */
  async function mtaSts(argv: readonly string[]): Promise<{ status: unknown; output: string }> {
    const program = join(folder, 'node_modules', '.bin', 'mta-sts')
    const { NODE_OPTIONS: _, VITEST: __, ...env } = process.env
    const started = promisify(execFile)(program, argv, { cwd: folder, env })
    return started.then(
      ({ stdout, stderr }) => ({ status: 0, output: stdout + stderr }),
      ({ code, stdout, stderr }) => ({ status: code, output: stdout + stderr }),
    )
  }

  it.each(lines(COMMANDS))('%s', async (text) => {
    const [, , ...argv] = text.split(' ')
    switch (argv[0]) {
      case 'check': {
        await using world = await createMailWorld()
        // Nobody is connected to: it takes no mail, and has no policy
        world.domain('example.com').dns.fails('null-mx')
        world.dns.set('mta-sts.example.com', 'A', [])
        const resolver = ['--resolver', `127.0.0.1:${world.dns.port}`]
        const { status, output } = await mtaSts([...argv, ...resolver])
        expect(output).toContain('✓ the domain takes no mail (null MX record, RFC 7505)')
        expect(status).toBe(0)
        break
      }
      case 'cache': {
        const code = "import('mta-sts/sqlite').then((m) => m.sqliteStore('mta-sts.db').close())"
        if (hasSqlite()) await run([process.execPath, '-e', code], folder)
        else await writeFile(join(folder, 'mta-sts.db'), '')
        const { status, output } = await mtaSts(argv)
        expect(output).toMatch(
          hasSqlite() ? /^0 looked at: 0 renewed/ : /Upgrade Node \(>= 22\.13\)/,
        )
        expect(status).toBe(hasSqlite() ? 0 : 3)
        break
      }
      default: {
        const { status, output } = await mtaSts(argv)
        expect(output).toMatch(/^Usage: mta-sts /)
        expect(status).toBe(0)
      }
    }
  })
})

it('makes a key that is the one to be published', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mta-sts-key-'))
  try {
    const script = OPENSSL.map(({ text }) => text).join('\n')
    const { stdout } = await run(['bash', '-euc', script], folder)
    const key = createPrivateKey(readFileSync(join(folder, 'reports.pem')))
    const der = createPublicKey(key).export({ type: 'spki', format: 'der' })
    expect(stdout).toBe(der.toString('base64'))
    expect(key.asymmetricKeyType).toBe('rsa')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

it('publishes it where the program on the page says that it is', () => {
  const page = pageAt('docs/reports.md')
  const [, selector, domain] = /^(\S+)\._domainkey\.(\S+)\. IN TXT "v=DKIM1;/m.exec(page) ?? []
  expect(page).toContain(`domainName: '${domain}',\n    keySelector: '${selector}',`)
})

describe('for contributors', () => {
  const { scripts }: { scripts: Record<string, string> } = JSON.parse(pageAt('package.json'))

  it.each(lines(FOR_CONTRIBUTORS))('%s', (text) => {
    const [name, script] = text.split(' ')
    if (name === 'npm' && script !== 'ci') {
      expect(Object.keys(scripts)).toContain(text.replace(/^npm (?:run )?(\S+).*$/, '$1'))
    }
    const paths = text.split(' ').filter((word) => word.includes('/') && !word.includes('*'))
    for (const path of paths) expect(existsSync(join(ROOT, path))).toBe(true)
  })
})
