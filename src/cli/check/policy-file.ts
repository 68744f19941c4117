/**
 * The policy file line by line, with what the core's parser says of it.
 *
 * @module
 */
import { PolicySyntaxError } from '../../errors.js'
import type { PolicyFetch } from '../../policy/fetch.js'
import type { PolicyCheck, PolicyLine } from './findings.js'
import { problemOf } from './problem.js'

/** `null`: there is no file that could be shown. */
export function checkPolicyFile(
  { fetch, body }: { fetch: PolicyFetch; body: string | undefined },
  now: number,
): PolicyCheck | null {
  if (fetch.kind === 'fetched') {
    const { mode, mx, maxAge } = fetch.policy
    const lines = linesOf(fetch.body, undefined)
    return { valid: true, mode, mx: [...mx], maxAge, lines, problem: null }
  }
  const { failure } = fetch
  if (failure.resultType !== 'sts-policy-invalid' || body === undefined) return null
  const error = failure.cause instanceof PolicySyntaxError ? failure.cause : undefined
  return {
    valid: false,
    mode: null,
    mx: [],
    maxAge: null,
    lines: linesOf(body, error),
    problem: problemOf(failure, { certificate: null, now }),
  }
}

function linesOf(body: string, error: PolicySyntaxError | undefined): PolicyLine[] {
  const texts = body.split(/\r?\n/)
  if (texts.at(-1) === '') texts.pop()
  return texts.map((text, index) => {
    const number = index + 1
    return { number, text, problem: error?.line === number ? error.message : null }
  })
}
