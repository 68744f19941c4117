/**
 * The domains to look at: arguments, a file, or standard input.
 *
 * @module
 */
import { createReadStream } from 'node:fs'
import { toALabels } from '../../dns/domain-name.js'
import { escapeRemoteText, textOfThrown } from '../../text.js'
import { domainArgument } from '../arguments.js'
import { type CliContext, UsageError } from '../context.js'

/** A domain of the list. */
export interface Listed {
  /** The text that the user wrote */
  written: string
  /** A-labels; undefined: it is no domain name */
  domain: string | undefined
}

/** Longer input is no list of domains, in bytes. */
const MAX_LIST = 64 * 1024 * 1024

/**
 * Reads the list, each domain once. One argument alone must be a domain name; among several, and in
 * a file, what is none becomes a result of its own.
 *
 * @throws UsageError
 */
export async function listDomains(
  positionals: readonly string[],
  file: string | undefined,
  context: CliContext,
): Promise<Listed[]> {
  const [only] = positionals
  if (positionals.length === 1 && only !== undefined && only !== '-' && file === undefined) {
    return [{ written: only, domain: domainArgument(only) }]
  }
  const written: string[] = []
  for (const argument of positionals) {
    if (argument === '-') written.push(...linesOf(await readInput(context)))
    else written.push(argument)
  }
  if (file !== undefined) {
    const text = file === '-' ? await readInput(context) : await readList(file)
    written.push(...linesOf(text))
  }
  if (written.length === 0) {
    const isList = file !== undefined || positionals.length > 0
    throw new UsageError(isList ? 'The list names no domain.' : 'Which domain? Name one or more.')
  }
  return eachOnce(written)
}

function eachOnce(written: readonly string[]): Listed[] {
  const list = new Map<string, Listed>()
  for (const text of written) {
    const domain = toALabels(text)
    const key = domain ?? text
    if (!list.has(key)) list.set(key, { written: text, domain })
  }
  return [...list.values()]
}

/** One domain a line; blank lines, and what follows a `#`, do not count. */
function linesOf(text: string): string[] {
  return text
    .replace(/^\u{feff}/u, '')
    .split(/\r\n|\r|\n/)
    .map((line) => line.replace(/#.*$/, '').trim())
    .filter((line) => line !== '')
}

async function readList(file: string): Promise<string> {
  try {
    return await readAll(createReadStream(file), 'The file of --file')
  } catch (cause) {
    if (cause instanceof UsageError) throw cause
    const why = escapeRemoteText(textOfThrown(cause))
    throw new UsageError(`--file: the list cannot be read (${why}).`, { cause })
  }
}

async function readInput({ stdin }: CliContext): Promise<string> {
  return readAll(stdin ?? [], 'Standard input')
}

type Chunks = AsyncIterable<Uint8Array | string> | Iterable<never>

async function readAll(input: Chunks, what: string): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of input) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > MAX_LIST) throw new UsageError(`${what} is too long for a list of domains.`)
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}
