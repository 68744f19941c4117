/** The JSON of `mta-sts check`: its shape is a promise. */
import { describe, expect, it } from 'vitest'
import { longestLine, useWorld } from './support.js'

const stage = useWorld()

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
const MILLISECONDS = expect.any(Number)

const certificate = (name: string) => ({
  names: [name],
  commonName: null,
  issuer: 'Mail World Intermediate',
  notBefore: TIME,
  notAfter: TIME,
  rsaBits: null,
})

describe('mta-sts check --json', () => {
  it('prints every field for a domain under enforce', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const { name } = domain
    const { status, stdout } = await stage.cli(['check', '--json', '--connect', name])
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toEqual({
      format: 1,
      domains: [
        {
          domain: name,
          unicodeDomain: null,
          record: {
            name: `_mta-sts.${name}`,
            status: 'found',
            texts: [`v=STSv1; id=${domain.id};`],
            id: domain.id,
            problem: null,
            resultType: null,
            reason: null,
          },
          policyHost: {
            host: `mta-sts.${name}`,
            addresses: [
              {
                address: domain.policyHost.ipv4,
                tlsVersion: 'TLSv1.3',
                certificate: certificate(`mta-sts.${name}`),
                status: 200,
                type: 'text/plain',
                bytes: domain.policyFile?.length,
                lastModified: null,
                milliseconds: MILLISECONDS,
                problem: null,
                noRoute: false,
                timedOut: false,
              },
            ],
            blocked: [],
            problem: null,
          },
          policy: {
            valid: true,
            mode: 'enforce',
            mx: [`mx.${name}`],
            maxAge: 604800,
            lines: [
              { number: 1, text: 'version: STSv1', problem: null },
              { number: 2, text: 'mode: enforce', problem: null },
              { number: 3, text: `mx: mx.${name}`, problem: null },
              { number: 4, text: 'max_age: 604800', problem: null },
            ],
            problem: null,
          },
          mx: {
            status: 'found',
            problem: null,
            hosts: [
              {
                host: `mx.${name}`,
                cname: null,
                preference: 10,
                inPolicy: true,
                addresses: [domain.mx().ipv4],
                blocked: [],
                problem: null,
                dane: null,
                sessions: [
                  {
                    address: domain.mx().ipv4,
                    tlsVersion: 'TLSv1.3',
                    cipher: expect.stringMatching(/^TLS_/),
                    certificate: certificate(`mx.${name}`),
                    problem: null,
                    tlsaMatches: null,
                    daneProblem: null,
                    error: null,
                    noRoute: false,
                    milliseconds: MILLISECONDS,
                  },
                ],
                outcome: 'proved',
              },
            ],
          },
          tlsrpt: {
            name: `_smtp._tls.${name}`,
            status: 'found',
            texts: [`v=TLSRPTv1; rua=mailto:tls@${name}`],
            rua: [`mailto:tls@${name}`],
            problem: null,
          },
          verdict: {
            status: 'fine',
            exitStatus: 0,
            mode: 'enforce',
            text: `enforce: mail would be delivered to mx.${name}`,
          },
          cached: null,
          advice: [
            {
              code: 'mx-ipv6-missing',
              urgency: 'later',
              host: null,
              resultType: null,
              reason: null,
              text: `No MX host of ${domain.name} has an IPv6 address, and senders without IPv4 cannot reach it: publish an AAAA record for one of them.`,
            },
          ],
        },
      ],
    })
  })

  it('prints null for unknown facts', async () => {
    const { policyHost, policy, mx, tlsrpt, record } = await stage.check('nothing.example')
    expect({ policyHost, policy, mx }).toEqual({
      policyHost: null,
      policy: null,
      mx: { status: 'no-domain', problem: null, hosts: [] },
    })
    expect(record).toMatchObject({ status: 'none', texts: [], id: null, problem: 'there is none' })
    expect(tlsrpt).toMatchObject({ status: 'none', texts: [], rua: [] })
  })

  it('prints one document for several domains, in their order', async () => {
    const [one, two] = [stage.domain({ mode: 'enforce' }), stage.domain({ mode: 'testing' })]
    const { status, stdout } = await stage.cli(['check', '--json', two.name, one.name])
    expect(status).toBe(1)
    const { domains } = JSON.parse(stdout)
    expect(domains.map(({ domain }: { domain: string }) => domain)).toEqual([two.name, one.name])
  })

  it('prints no field that --help leaves out', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('expired')
    const report = await stage.check(domain, '--connect')
    const { stdout: help } = await stage.cli(['check', '--help'])
    const { exit: _, ...printed } = report
    for (const field of fieldsOf({ format: 1, domains: [printed] })) {
      expect(help).toContain(`"${field}"`)
    }
    expect(longestLine(help)).toBeLessThanOrEqual(80)
  })
})

function fieldsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(fieldsOf)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) => [name, ...fieldsOf(inner)])
}

describe('exit statuses of several domains', () => {
  it.each([
    ['all fine', ['enforce', 'enforce'], 0],
    ['one unprotected', ['enforce', 'testing'], 1],
    ['one unknown', ['enforce', 'unknown'], 3],
    ['one of each', ['enforce', 'unknown', 'testing'], 1],
  ] as const)('%s', async (_, kinds, expected) => {
    const domains = kinds.map((kind) => {
      const domain = stage.domain({ mode: kind === 'unknown' ? 'enforce' : kind })
      if (kind === 'unknown') domain.dns.fails('servfail')
      return domain.name
    })
    const { status } = await stage.cli(['check', ...domains])
    expect(status).toBe(expected)
  })
})
