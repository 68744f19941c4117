/** README, the table of runtimes and versions: CI runs what it says, and nothing that it leaves out. */
import { describe, expect, it } from 'vitest'
import { VERSIONS } from '../hosts/versions.js'
import { pageAt, tableAfter } from './markdown.js'

const CI = pageAt('.ci/run')
const [, ...rows] = tableAfter(pageAt('README.md'), '## Tested with')
const PACKAGE: {
  engines: { node: string }
  devDependencies: Record<string, string>
} = JSON.parse(pageAt('package.json'))

/** The versions in the rows about something, in the order of the table. */
function versionsOf(what: string): string[] {
  const cells = rows.filter(([name]) => name === what).map(([, versions = '']) => versions)
  return cells.flatMap((cell) => cell.split(', '))
}

/** `for version in 8 9; do step "test with Nodemailer $version" ...`: the versions. */
function versionsInLoop(step: string): string[] {
  const [, versions = ''] =
    new RegExp(`for version in ([\\d ]+); do\\n *step "${step} `).exec(CI) ?? []
  return versions.split(' ')
}

/** The first number of a range of versions. */
function lineOf(range: string): string {
  return /\d+/.exec(range)?.[0] ?? ''
}

describe('the table of runtimes', () => {
  it('has the lines of Node that CI runs the tests on, the oldest one first', () => {
    const [oldest, ...others] = versionsOf('Node')
    expect(oldest).toBe(lineOf(PACKAGE.engines.node))
    expect(others).toEqual(versionsInLoop('test on Node'))
  })

  it('has the lines of Nodemailer that CI runs the tests with', () => {
    const [newest, ...others] = versionsOf('Nodemailer')
    expect(newest).toBe(lineOf(PACKAGE.devDependencies.nodemailer ?? ''))
    expect(others).toEqual(versionsInLoop('test with Nodemailer'))
  })

  it('has Bun and Deno as `npm run test:runtimes` runs them', () => {
    const script = pageAt('test/runtimes/run.ts')
    const pinned = ['BUN', 'DENO'].map((name) => {
      return new RegExp(`^const ${name} = '\\w+@(.*)'$`, 'm').exec(script)?.[1]
    })
    expect(CI).toContain('npm run test:runtimes')
    expect(versionsOf('Bun, Deno')).toEqual(pinned)
  })

  it('has the compilers of the declarations', () => {
    const { 'typescript-5': five = '', typescript = '' } = PACKAGE.devDependencies
    expect(CI).toContain('npm run test:package')
    expect(versionsOf('TypeScript')).toEqual([lineOf(five.replace(/^.*@/, '')), lineOf(typescript)])
  })

  it('has the mail servers that the plugins are run in', () => {
    const newest = VERSIONS.filter((host) => host.newest).map(({ version }) => version)
    expect(CI).toContain('npm run test:hosts')
    expect(versionsOf('Haraka, ZoneMTA')).toEqual(newest)
  })

  it('has the servers of the lab, and nothing else', () => {
    expect(CI).toContain('npm run test:lab')
    const lab = ['Postfix', 'Exim', 'BIND', 'Unbound', 'nginx']
    expect(versionsOf(lab.join(', '))).toHaveLength(1)
    for (const server of lab)
      expect(() => pageAt(`test/lab/${server.toLowerCase()}.ts`)).not.toThrow()
    const known = [
      'Node',
      'Nodemailer',
      'Bun, Deno',
      'TypeScript',
      'Haraka, ZoneMTA',
      lab.join(', '),
    ]
    expect(new Set(rows.map(([name]) => name))).toEqual(new Set(known))
  })
})
