/**
 * The command `mta-sts`: which of its commands is meant, and what becomes of errors.
 *
 * @module
 */
import { escapeRemoteText, textOfThrown } from '../text.js'
import { VERSION } from '../version.js'
import { cache } from './cache/command.js'
import { check } from './check/command.js'
import { type CliContext, type Command, EXIT, type ExitStatus, UsageError } from './context.js'
import { generate } from './generate/command.js'
import { report } from './report/command.js'

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['check', check],
  ['generate', generate],
  ['report', report],
  ['cache', cache],
])

const HELP = `\
Usage: mta-sts COMMAND [OPTION]... [ARGUMENT]...

MTA-STS (RFC 8461) from the sender's side.

${Array.from(COMMANDS, ([name, { summary }]) => `  ${name.padEnd(10)}${summary}`).join('\n')}

  -h, --help     print this; "mta-sts COMMAND --help" tells of a command
  --version      print the version

Exit status: 0 fine, 1 a sender would refuse or not protect, 2 wrong usage, 3
could not find out. Colours only on a terminal, and not where NO_COLOR is set.
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
    context.stderr.write(describe(error, argv))
    return error instanceof UsageError ? EXIT.usage : EXIT.unknown
  }
}

async function dispatch(argv: readonly string[], context: CliContext): Promise<ExitStatus> {
  const [name, ...rest] = argv
  if (name === '--version') return print(`${VERSION}\n`, context)
  if (name === '--help' || name === '-h') return print(HELP, context)
  if (name === 'help') return dispatch([...rest.slice(0, 1), '--help'], context)
  if (name === undefined) throw new UsageError('Which command?')
  const command = COMMANDS.get(name)
  if (command === undefined)
    throw new UsageError(`There is no command "${escapeRemoteText(name)}".`)
  if (asksForHelp(rest)) return print(command.help, context)
  return command.run(rest, context)
}

function print(text: string, { stdout }: CliContext): ExitStatus {
  stdout.write(text)
  return EXIT.fine
}

/** Wherever it stands, and whatever else is wrong. */
function asksForHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  const options = end < 0 ? argv : argv.slice(0, end)
  return options.includes('--help') || options.includes('-h')
}

function describe(error: unknown, argv: readonly string[]): string {
  const debug = argv.includes('--debug')
  if (debug && error instanceof Error) return `mta-sts: ${error.stack}${causes(error)}\n`
  const message = textOfThrown(error)
  const hint = error instanceof UsageError ? `Try "${helpFor(argv)}".\n` : ''
  return `mta-sts: ${message}\n${hint}`
}

function causes({ cause }: Error): string {
  if (!(cause instanceof Error)) return ''
  return `\nCaused by: ${cause.stack}${causes(cause)}`
}

function helpFor([name]: readonly string[]): string {
  return name !== undefined && COMMANDS.has(name) ? `mta-sts ${name} --help` : 'mta-sts --help'
}
