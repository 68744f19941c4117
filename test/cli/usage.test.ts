/** The command line itself: help, version, wrong usage, errors. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { wholeNumber } from '../../src/cli/arguments.js'
import { nameServer } from '../../src/cli/network.js'
import { cli, longestLine } from './support.js'

const COMMANDS = ['check', 'watch', 'generate', 'report', 'cache']
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))

describe('help and version', () => {
  it.each([
    ['--help'],
    ['-h'],
    ['help'],
    ...COMMANDS.flatMap((name) => [
      [name, '--help'],
      [name, '-h'],
      ['help', name],
    ]),
  ])('%s %s: on stdout, within 80 columns, exit status 0', async (...argv) => {
    const { status, stdout, stderr } = await cli(argv)
    expect(status).toBe(0)
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^Usage: mta-sts /)
    expect(stdout).toMatch(/Exit status/)
    expect(longestLine(stdout)).toBeLessThanOrEqual(80)
    expect(stdout.endsWith('\n')).toBe(true)
  })

  it('names every command', async () => {
    const { stdout } = await cli(['--help'])
    for (const name of COMMANDS) expect(stdout).toContain(`\n  ${name} `)
  })

  it('prints help beside wrong options, but not for arguments after --', async () => {
    expect((await cli(['check', '--nonsense', '--help'])).status).toBe(0)
    expect((await cli(['check', '--', '--help'])).status).toBe(2)
  })

  it('prints the version of the package', async () => {
    expect(await cli(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' })
  })
})

it('prints a summary of help without arguments', async () => {
  const { status, stdout, stderr } = await cli([])
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
  for (const name of COMMANDS) expect(stderr).toContain(`\n  ${name} `)
  expect(longestLine(stderr)).toBeLessThanOrEqual(80)
})

describe('wrong usage: exit status 2, a message and a hint on stderr', () => {
  it.each([
    [['frobnicate'], 'There is no command "frobnicate".'],
    [['chek', 'a.example'], 'There is no command "chek". Did you mean "mta-sts check"?'],
    [['chcek'], 'Did you mean "mta-sts check"?'],
    [['a.example'], 'Did you mean "mta-sts check a.example"?'],
    [['check', '--conect', 'a.example'], "Unknown option '--conect'. Did you mean --connect?"],
    [['check', '--timeuot', '1', 'a.example'], 'Did you mean --timeout?'],
    [['check', '--timeout', '1', '--timeout', '2', 'a.example'], '--timeout is given twice.'],
    [['check', 'https://a.example/x'], 'is not a domain name. Did you mean "a.example"?'],
    [['check', 'HTTPS://A.example:443'], 'Did you mean "a.example"?'],
    [['check', 'mailto:you@a.example'], 'Did you mean "a.example"?'],
    [['check', '<you@a.example>'], 'Did you mean "a.example"?'],
    [['check', 'a.example/'], 'Did you mean "a.example"?'],
    [['check', '*.a.example'], 'Did you mean "a.example"?'],
    [['check', '--concurrency', '0', 'a.example'], '--concurrency takes a whole number'],
    [['check', '--deadline', 'x', 'a.example'], '--deadline takes a whole number'],
    [['check', '--file', '/no/such/file'], '--file: the list cannot be read'],
    [['check', '-'], 'The list names no domain.'],
    [['check', '--brief', '--json', 'a.example'], '--json and --brief exclude each other.'],
    [['check', '--store', 'redis://127.0.0.1/x', 'a.example'], '--store takes sqlite:PATH'],
    [['help', 'frobnicate'], 'There is no command "frobnicate"'],
    [['check'], 'Which domain?'],
    [['check', '--frobnicate', 'a.example'], "Unknown option '--frobnicate'."],
    [['check', '--timeout'], '--timeout'],
    [['check', '--timeout', '0', 'a.example'], '--timeout takes a whole number'],
    [['check', '--timeout', '1e3', 'a.example'], '--timeout takes a whole number'],
    [['check', '--json=yes', 'a.example'], '--json'],
    [['check', 'you@a.example'], '"you@a.example" is not a domain name. Did you mean "a.example"?'],
    [['check', '192.0.2.1'], '"192.0.2.1" is not a domain name'],
    [['check', '\u{1b}[2J'], '"\\u{1b}[2J" is not a domain name'],
    [['check', '--name', 'a b', '--connect', 'a.example'], '--name takes a host name'],
    [['check', '--resolver', '192.0.2.1:99999', 'a.example'], '--resolver takes HOST'],
    [['check', '--resolver', '', 'a.example'], '--resolver takes HOST'],
    [['check', '--ca', '/no/such/file', 'a.example'], '--ca'],
    [['check', '--ca', import.meta.filename, 'a.example'], 'PEM'],
    [['check', '--store', 'mysql://u:secret@h', 'a.example'], '--store takes sqlite:PATH'],
    [['report'], 'Which files?'],
    [['cache'], 'Which store?'],
    [['cache', '--store', 'x', 'list'], '--store takes sqlite:PATH'],
    [['cache', '--store', 'sqlite:x', 'frobnicate'], 'cache takes list, show, remove, refresh'],
    [['cache', '--store', 'sqlite:x', 'show'], 'Which domain?'],
    [['cache', '--store', 'sqlite:x', 'list', 'a.example'], 'list takes no more'],
    [['cache', '--store', 'sqlite:x', 'remove', 'a b'], 'is not a domain name'],
  ])('%j', async (argv, message) => {
    const { status, stdout, stderr } = await cli(argv)
    expect(status).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^mta-sts: /)
    expect(stderr).toContain(message)
    expect(stderr).toMatch(/\nTry "mta-sts (?:\w+ )?--help"\.\n$/)
    expect(stderr).not.toMatch(/^ {4}at /m)
    expect(stderr).not.toContain('secret')
  })

  it('shows a stack trace with --debug only', async () => {
    const { status, stderr } = await cli(['check', '--ca', '/no/such/file', 'a.example', '--debug'])
    expect(status).toBe(2)
    expect(stderr).toMatch(/^ {4}at /m)
    expect(stderr).toContain('Caused by: Error: ENOENT')
  })
})

describe('reading arguments', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1', 53],
    ['192.0.2.1:5353', '192.0.2.1', 5353],
    ['2001:db8::1', '2001:db8::1', 53],
    ['[2001:db8::1]', '2001:db8::1', 53],
    ['[2001:db8::1]:5353', '2001:db8::1', 5353],
    ['ns.example.com:53', 'ns.example.com', 53],
  ])('takes %s for a name server', (text, host, port) => {
    expect(nameServer(text)).toEqual({ host, port })
  })

  it.each(['', ':53', '192.0.2.1:', '192.0.2.1:0', '192.0.2.1:65536', '[192.0.2.1]', '[x', 'a:b'])(
    'does not take "%s" for one',
    (text) => {
      expect(() => nameServer(text)).toThrow('--resolver takes HOST')
    },
  )

  it('accepts whole numbers within their bounds', () => {
    expect(wholeNumber('--n', '7', { min: 1, max: 7 })).toBe(7)
    for (const text of ['', '-1', '8', '1.5', 'seven', '99999999999999999999']) {
      expect(() => wholeNumber('--n', text, { min: 1, max: 7 })).toThrow('--n takes a whole number')
    }
  })
})
