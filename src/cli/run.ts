/**
 * Finds the command that is meant, runs it, and prints its errors.
 *
 * @module
 */
import { nearest } from '../option-checks.js'
import { escapeRemoteText, textOfThrown } from '../text.js'
import { VERSION } from '../version.js'
import { cache } from './cache/command.js'
import { check } from './check/command.js'
import { complain } from './complain.js'
import { type CliContext, type Command, EXIT, type ExitStatus, UsageError } from './context.js'
import { generate } from './generate/command.js'
import { report } from './report/command.js'
import { reports } from './reports/command.js'
import { watch } from './watch/command.js'

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['check', check],
  ['watch', watch],
  ['generate', generate],
  ['report', report],
  ['cache', cache],
  ['reports', reports],
])

const HELP = `\
Usage: mta-sts COMMAND [OPTION]... [ARGUMENT]...

MTA-STS (RFC 8461) from the sender's side.

${Array.from(COMMANDS, ([name, { summary }]) => `  ${name.padEnd(10)}${summary}`).join('\n')}

  -h, --help     print this; "mta-sts COMMAND --help" describes a command
  --version      print the version

Exit status: 0 fine, 1 a sender would refuse or not protect, 2 wrong usage, 3
could not find out. Colours on a terminal, but not where NO_COLOR is set;
everywhere with FORCE_COLOR=1.
`

/**
 * Runs the command and resolves to its exit status. Never rejects.
 *
 * @param argv without the names of Node and of the script
 */
export async function run(argv: readonly string[], context: CliContext): Promise<ExitStatus> {
  try {
    return await dispatch(argv, context)
  } catch (error) {
    describe(error, argv, context)
    return error instanceof UsageError ? EXIT.usage : EXIT.unknown
  }
}

/** Tells whether the command prints its results so far at Ctrl-C. */
export function printsAtInterrupt([name = '']: readonly string[]): boolean {
  return COMMANDS.get(name)?.printsAtInterrupt === true
}

async function dispatch(argv: readonly string[], context: CliContext): Promise<ExitStatus> {
  const [name, ...rest] = argv
  if (name === '--version') return print(`${VERSION}\n`, context)
  if (name === '--help' || name === '-h') return print(HELP, context)
  if (name === 'help') return dispatch([...rest.slice(0, 1), '--help'], context)
  if (name === undefined) return withoutCommand(context)
  const command = COMMANDS.get(name)
  if (command === undefined) throw new UsageError(noCommand(name))
  if (asksForHelp(rest)) return print(command.help, context)
  return command.run(rest, context)
}

function withoutCommand({ stderr }: CliContext): ExitStatus {
  const names = Array.from(COMMANDS, ([name, { summary }]) => `  ${name.padEnd(10)}${summary}\n`)
  stderr.write(`Usage: mta-sts COMMAND [OPTION]... [ARGUMENT]...\n\n${names.join('')}\n`)
  stderr.write('Begin with "mta-sts check example.com". "mta-sts --help" prints more.\n')
  return EXIT.usage
}

/** Names the command that may be meant; a domain in its place is the most common slip. */
function noCommand(name: string): string {
  const meant = name.includes('.')
    ? `check ${escapeRemoteText(name)}`
    : nearest(name, COMMANDS.keys())
  const hint = meant === undefined ? '' : ` Did you mean "mta-sts ${meant}"?`
  return `There is no command "${escapeRemoteText(name)}".${hint}`
}

function print(text: string, { stdout }: CliContext): ExitStatus {
  stdout.write(text)
  return EXIT.fine
}

/** Tells whether `--help` is among the arguments; it goes before all errors. */
function asksForHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  const options = end < 0 ? argv : argv.slice(0, end)
  return options.includes('--help') || options.includes('-h')
}

function describe(error: unknown, argv: readonly string[], context: CliContext): void {
  if (argv.includes('--debug') && error instanceof Error) {
    context.stderr.write(`mta-sts: ${error.stack}${causes(error)}\n`)
    return
  }
  complain(textOfThrown(error), context)
  if (error instanceof UsageError) context.stderr.write(`Try "${helpFor(argv)}".\n`)
}

function causes({ cause }: Error): string {
  if (!(cause instanceof Error)) return ''
  return `\nCaused by: ${cause.stack}${causes(cause)}`
}

function helpFor([name]: readonly string[]): string {
  return name !== undefined && COMMANDS.has(name) ? `mta-sts ${name} --help` : 'mta-sts --help'
}
