/**
 * The policy file line by line, with what the library's parser says of each.
 *
 * @module
 */
import { PolicySyntaxError } from '../../errors.js'
import type { PolicyFetch } from '../../policy/fetch.js'
import { parsePolicy } from '../../policy/policy-file.js'
import type { PolicyCheck, PolicyLine } from './findings.js'
import { problemOf } from './problem.js'

/** `null`: there is no file that could be shown. */
export function checkPolicyFile(
  { fetch, body }: { fetch: PolicyFetch; body: string | undefined },
  now: number,
): PolicyCheck | null {
  if (fetch.kind === 'fetched') {
    const { mode, mx, maxAge } = fetch.policy
    const lines = linesOf(fetch.body, [])
    return { valid: true, mode, mx: [...mx], maxAge, lines, problem: null }
  }
  const { failure } = fetch
  if (failure.resultType !== 'sts-policy-invalid' || body === undefined) return null
  return {
    valid: false,
    mode: null,
    mx: [],
    maxAge: null,
    lines: linesOf(body, errorsIn(body)),
    problem: problemOf(failure, { certificate: null, now }),
  }
}

function linesOf(body: string, errors: readonly PolicySyntaxError[]): PolicyLine[] {
  const texts = splitLines(body)
  if (texts.at(-1) === '') texts.pop()
  return texts.map((text, index) => {
    const number = index + 1
    const error = errors.find(({ line }) => line === number)
    return { number, text, problem: error?.message ?? null }
  })
}

function splitLines(body: string): string[] {
  return body.split(/\r?\n/)
}

/** More of them are of no help */
const MAX_ERRORS = 20

/**
 * Returns the errors of all lines. The parser stops at the first one, so each faulty line is mended
 * in turn; an error of the file as a whole counts only where no line is faulty.
 */
function errorsIn(body: string): PolicySyntaxError[] {
  const lines = splitLines(body)
  const errors: PolicySyntaxError[] = []
  while (errors.length < MAX_ERRORS) {
    const error = errorOf(lines.join('\n'))
    if (error === undefined || error.line < 1 || error.line > lines.length) break
    errors.push(error)
    lines[error.line - 1] = mended(lines[error.line - 1] ?? '')
  }
  return errors
}

/** A line with the same field and a value that can be read; an empty one where it is no field. */
function mended(line: string): string {
  const [, field = ''] = /^\s*(version|mode|mx|max_age)\s*:/.exec(line) ?? []
  return MENDED.get(field) ?? ''
}

const MENDED: ReadonlyMap<string, string> = new Map([
  ['version', 'version: STSv1'],
  ['mode', 'mode: testing'],
  ['mx', 'mx: mx.example'],
  ['max_age', 'max_age: 604800'],
])

function errorOf(text: string): PolicySyntaxError | undefined {
  try {
    parsePolicy(text)
    return undefined
  } catch (error) {
    if (error instanceof PolicySyntaxError) return error
    throw error
  }
}
