/**
 * Resolvers of the command: one whose errors name the name servers, and one that asks each
 * question once.
 *
 * @module
 */
import type { Resolver } from '../dns/resolver.js'
import { MtaStsError } from '../errors.js'
import { withinTime } from '../net/deadline.js'

/** The name servers did not answer. Its message names them. */
export class NameServerError extends MtaStsError {}

/** A resolver whose queries can also be asked for CNAME records and for its servers. */
interface SystemResolver extends Resolver {
  resolveCname?(hostname: string): Promise<string[]>
  getServers?(): string[]
}

/** Returns a resolver whose error names the name servers that did not answer. */
export function namingServers(resolver: SystemResolver, timeout: number): SystemResolver {
  const servers = resolver.getServers?.() ?? []
  // It ends before that of the lookup, whose error names no name servers
  const limit = { milliseconds: Math.max(1, timeout - 1), late: () => noAnswer(servers) }
  const naming = <T>(query: (name: string) => Promise<T>) => {
    return async (name: string) => {
      try {
        return await withinTime(limit, () => query(name))
      } catch (error) {
        throw isSilence(error) ? noAnswer(servers, error) : error
      }
    }
  }
  return {
    resolveTxt: naming((name) => resolver.resolveTxt(name)),
    resolveMx: naming((name) => resolver.resolveMx(name)),
    resolve4: naming((name) => resolver.resolve4(name)),
    resolve6: naming((name) => resolver.resolve6(name)),
    resolveCname: naming(async (name) => (await resolver.resolveCname?.(name)) ?? []),
  }
}

const SILENCE = new Set<unknown>(['ECONNREFUSED', 'ETIMEOUT', 'ECONNRESET', 'ENETUNREACH'])

function isSilence(error: unknown): boolean {
  return error instanceof Error && 'code' in error && SILENCE.has(error.code)
}

function noAnswer(servers: readonly string[], cause?: unknown): NameServerError {
  const which = servers.length === 1 ? `name server ${servers[0]}` : 'name servers'
  const list = servers.length > 1 ? ` (${servers.slice(0, 3).join(', ')})` : ''
  const refused = cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED'
  const how = refused ? 'cannot be reached: connection refused' : 'does not answer'
  const what = servers.length === 1 ? how : how.replace('does not', 'do not')
  return new NameServerError(`the ${which}${list} ${what}`, 'ETIMEOUT', { cause })
}

/** Returns a resolver that asks each question once, so that a report agrees with itself. */
export function remembering(
  resolver: SystemResolver,
): Required<Omit<SystemResolver, 'getServers'>> {
  return {
    resolveTxt: once((name) => resolver.resolveTxt(name)),
    resolveMx: once((name) => resolver.resolveMx(name)),
    resolve4: once((name) => resolver.resolve4(name)),
    resolve6: once((name) => resolver.resolve6(name)),
    resolveCname: once(async (name) => (await resolver.resolveCname?.(name)) ?? []),
  }
}

function once<T>(query: (name: string) => Promise<T>): (name: string) => Promise<T> {
  const answers = new Map<string, Promise<T>>()
  return (name) => {
    const known = answers.get(name)
    if (known !== undefined) return known
    // A resolver that throws rejects, so that callers handle one kind of error
    const answer = (async () => query(name))()
    answers.set(name, answer)
    return answer
  }
}
