/**
 * What README says of mailauth and mx-connect in comparison, asked of these packages themselves: a
 * new version that does better must not be spoken ill of.
 */
import { readFile } from 'node:fs/promises'
import https from 'node:https'
import type { DNSResolver, MTASTSPolicy } from 'mailauth'
import { getPolicy, validateMx } from 'mailauth/lib/mta-sts.js'
import mxConnect from 'mx-connect'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMailWorld, type MailDomain, type MailWorld } from '../../src/testing/index.js'
import { ROOT } from '../package/packed.js'
import { tableAfter } from './markdown.js'
import { mxConnectOptions, WorldAgent } from './peers.js'

const DAY = 86_400_000

let world: MailWorld
let names = 0
const agent = https.globalAgent

beforeAll(async () => {
  world = await createMailWorld()
  https.globalAgent = new WorldAgent(world)
})

afterAll(async () => {
  https.globalAgent = agent
  await world.close()
})

const resolver: DNSResolver = (name, type) => {
  const { resolver } = world.options()
  if (type === 'TXT') return resolver.resolveTxt(name)
  return type === 'AAAA' ? resolver.resolve6(name) : resolver.resolve4(name)
}

function newDomain(...mx: string[]): MailDomain {
  const options = mx.length > 0 ? { mx } : {}
  return world.domain(`compared${++names}.example`, { mode: 'enforce', ...options })
}

/** What mailauth makes of the domain when it is told what it knew. */
async function ask({ name }: MailDomain, known?: MTASTSPolicy) {
  return getPolicy(name, known, { resolver })
}

/** GETs that the policy host of a domain has seen. */
function gets({ policyHost }: MailDomain): number {
  return policyHost.gets.length
}

async function versionOf(name: string): Promise<string> {
  const text = await readFile(`${ROOT}node_modules/${name}/package.json`, 'utf8')
  const { version }: { version: string } = JSON.parse(text)
  return version
}

it('is about the versions that are named', async () => {
  const readme = await readFile(`${ROOT}README.md`, 'utf8')
  const [head] = tableAfter(readme, '## Compared with others')
  expect(head).toEqual([
    '',
    'mta-sts',
    `mailauth ${await versionOf('mailauth')}`,
    `mx-connect ${await versionOf('mx-connect')}`,
  ])
})

describe('mailauth', () => {
  it('gives up a known policy when its record is gone, or DNS fails', async () => {
    const domain = newDomain()
    const { policy } = await ask(domain)
    expect(policy).toMatchObject({ mode: 'enforce', id: domain.id })
    for (const fault of ['nxdomain', 'servfail', 'timeout'] as const) {
      domain.dns.fails(fault)
      expect((await ask(domain, policy)).policy).toMatchObject({ id: false, mode: 'none' })
    }
  })

  it('keeps a known policy when the new one cannot be fetched', async () => {
    const domain = newDomain()
    const { policy } = await ask(domain)
    domain.policy({ maxAge: 3600 })
    domain.policyHost.fails('500')
    expect((await ask(domain, policy)).policy).toMatchObject({ mode: 'enforce', id: policy.id })
  })

  it('fetches a known policy anew while it lasts, and not when it has expired', async () => {
    const domain = newDomain()
    const { policy } = await ask(domain)
    await ask(domain, policy)
    expect(gets(domain)).toBe(2)
    const expired = { ...policy, expires: new Date(Date.now() - DAY).toISOString() }
    const again = await ask(domain, expired)
    expect(gets(domain)).toBe(2)
    expect(again).toMatchObject({ status: 'renewed', policy: { mode: 'enforce' } })
    expect(Date.parse(again.policy.expires ?? '')).toBeGreaterThan(Date.now())
  })

  it('takes a policy from a host that is named by a common name only, of any size', async () => {
    for (const fault of ['cn-only', 'oversize'] as const) {
      const domain = newDomain()
      domain.policyHost.fails(fault)
      expect(await ask(domain)).toMatchObject({ status: 'found', policy: { mode: 'enforce' } })
    }
  })

  it('lets a wildcard stand for several labels', () => {
    const policy = { mode: 'enforce', mx: ['*.example.com'] } as const
    expect(validateMx('a.b.example.com', { ...policy, mx: [...policy.mx] })).toMatchObject({
      valid: true,
    })
  })
})

describe('mx-connect', () => {
  /** One connection, with a cache that is a Map. */
  async function connect(domain: MailDomain, known = new Map<string, MTASTSPolicy>()) {
    const hosts: string[] = []
    const connection = await mxConnect({
      target: domain.name,
      ...mxConnectOptions(world, hosts),
      mtaSts: {
        enabled: true,
        cache: {
          get: async (name) => known.get(name) ?? false,
          set: async (name, policy) => known.set(name, policy),
        },
      },
    })
    connection.socket.on('error', () => undefined).destroy()
    return { connection, hosts, known }
  }

  it('takes the next MX host where one is not in the policy', async () => {
    const domain = newDomain('mx1', 'mx2')
    domain.policy({ patterns: [`mx2.${domain.name}`] })
    const { connection, hosts } = await connect(domain)
    expect(connection.hostname).toBe(`mx2.${domain.name}`)
    expect(hosts).toEqual([domain.mx('mx2').ipv4])
  })

  it('returns a TCP connection, and leaves TLS and certificate to its caller', async () => {
    const domain = newDomain()
    domain.mx().fails('wrong-name')
    const { connection } = await connect(domain)
    expect(connection.socket).not.toHaveProperty('encrypted')
  })

  it('writes "none" over a policy in its cache when the record is gone', async () => {
    const domain = newDomain()
    const { known } = await connect(domain)
    expect(known.get(domain.name)).toMatchObject({ mode: 'enforce' })
    domain.dns.fails('nxdomain')
    await connect(domain, known)
    expect(known.get(domain.name)).toMatchObject({ mode: 'none' })
  })

  it('fails when no MX host is in the policy, without another look at the record', async () => {
    const domain = newDomain()
    domain.dns.fails('spoofed-mx')
    world.forget()
    await expect(connect(domain)).rejects.toThrow(/MTA-STS policy check failed/)
    expect(world.queries.filter(({ type }) => type === 'TXT')).toHaveLength(1)
  })

  it('knows DANE', () => expect(mxConnect).toHaveProperty('dane'))
})
