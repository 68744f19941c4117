/** The screens of `mta-sts check`: text within 80 columns, marks, colours, progress. */
import { describe, expect, it } from 'vitest'
import { longestLine, useWorld } from './support.js'

const stage = useWorld()

/** Times differ from run to run. */
function timeless(text: string): string {
  return text.replace(/\d+ ms/g, '9 ms')
}

describe('mta-sts check, as text', () => {
  it('shows a good domain step by step', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    const { status, stdout, stderr } = await stage.cli(['check', '--connect', domain.name])
    expect(status).toBe(0)
    expect(stderr).toBe('')
    const name = domain.name
    expect(timeless(stdout)).toBe(`${name}

✓ TXT record   _mta-sts.${name}
               "v=STSv1; id=${domain.id};"
✓ Policy host  mta-sts.${name}
               ${domain.policyHost.ipv4}: TLSv1.3, status 200, text/plain, 88 bytes, 9 ms
                 certificate for mta-sts.${name}; 29 days left
✓ Policy       version: STSv1
               mode: enforce
               mx: mx1.${name}
               mx: mx2.${name}
               max_age: 604800  (7 days)
✓ MX 10        mx1.${name}, in the policy
               ${domain.mx('mx1').ipv4}: TLSv1.3, 9 ms
                 certificate for mx1.${name}; 29 days left
✓ MX 20        mx2.${name}, in the policy
               ${domain.mx('mx2').ipv4}: TLSv1.3, 9 ms
                 certificate for mx2.${name}; 29 days left
✓ TLSRPT       _smtp._tls.${name}
               "v=TLSRPTv1; rua=mailto:tls@${name}"

✓ enforce: mail would be delivered to mx1.${name}, mx2.${name}
! No MX host of ${name} has an IPv6 address, and senders without IPv4 cannot
  reach it: publish an AAAA record for one of them.
`)
  })

  it('shows a bad domain with refused hosts, reasons and advice', async () => {
    const domain = stage.domain({
      mode: 'enforce',
      mx: ['mx1', 'mx2', 'backup'],
      patterns: ['mx1', 'mx2', '*.fleet'].map((host) => `${host}.bad.example`),
      maxAge: 3600,
    })
    const { name } = domain
    domain.policy({ patterns: [`mx1.${name}`, `mx2.${name}`, '*.fleet.example'] })
    domain.mx('mx2').fails('expired')
    domain.mx('backup').fails('no-starttls')
    const { status, stdout } = await stage.cli(['check', '--connect', name])
    expect(status).toBe(1)
    const text = stdout.replace(/\s+/g, ' ')
    expect(text).toContain('(no MX record matches *.fleet.example)')
    expect(text).toContain('certificate-expired, 1 day ago')
    expect(text).toContain(
      `✗ enforce: mail would be delivered to mx1.${name}; a sender refuses mx2.${name}: certificate-expired, 1 day ago; backup.${name}: validation-failure (mx-mismatch)`,
    )
    expect(text).toContain('! max_age is 3600 seconds (1 hour)')
    expect(text).toContain(`! The backup MX host backup.${name} does not offer STARTTLS`)
    expect(longestLine(stdout)).toBeLessThanOrEqual(80)
  })

  it('shows the wrong line of a broken policy', async () => {
    const domain = stage.domain({ body: 'version: STSv1\nmode: strict\nmax_age: 86400\n' })
    const { status, stdout } = await stage.cli(['check', domain.name])
    expect(status).toBe(1)
    expect(stdout).toContain(`✗ Policy       version: STSv1
               mode: strict
               ^ "mode" in a policy must be one of enforce, testing, none, but
               it is "strict" (did you mean "enforce"?)
               max_age: 86400
`)
    expect(stdout).toContain('✗ no usable policy: sts-policy-invalid; mail would be')
  })

  it('keeps within 80 columns with long names', async () => {
    const label = 'a-rather-long-label-that-is-there-to-fill-the-line'
    const domain = stage.domain({
      mode: 'enforce',
      mx: [`${label}.${label}.${label}.example`, 'mx.short.example'],
      patterns: [`*.${label}.${label}.example`],
    })
    const { stdout } = await stage.cli(['check', '--connect', domain.name])
    expect(longestLine(stdout)).toBeLessThanOrEqual(80)
  })

  it('shows several domains in the order in which they were asked for', async () => {
    const names = [stage.domain({ mode: 'enforce' }), stage.domain(), stage.domain()].map(
      ({ name }) => name,
    )
    // A domain that takes longer than others does not hold them back
    const argv = ['check', '--concurrency', '1', ...names, 'no-such.example', ...names]
    const { status, stdout } = await stage.cli(argv)
    expect(status).toBe(1)
    const heads = stdout.split('\n').filter((line) => /^\S+\.example$/.test(line))
    expect(heads).toEqual([...names, 'no-such.example'])
  })

  it('names a few of thousands of patterns without an MX record', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const many = Array.from({ length: 2000 }, (_, index) => `mx${index}.old.example`)
    domain.policy({ patterns: [domain.mx().name, ...many] })
    const { stdout } = await stage.cli(['check', domain.name])
    expect(stdout).toContain('and 1995 more)')
    expect(stdout.split('\n').length).toBeLessThan(100)
  })

  it('accepts U-labels', async () => {
    const { status, stdout } = await stage.cli(['check', 'Bücher.example'])
    expect(status).toBe(1)
    expect(stdout).toMatch(/^xn--bcher-kva\.example \(bücher\.example\)\n/)
  })
})

describe('colours and progress', () => {
  const ESCAPE = '\u{1b}['

  it('uses colours on a terminal, and clears the progress', async () => {
    const { name } = stage.domain({ mode: 'enforce' })
    const { stdout, stderr } = await stage.cli(['check', name], { isTTY: true })
    expect(stdout).toContain(`${ESCAPE}32m✓${ESCAPE}39m`)
    expect(stderr).toContain(`\r${ESCAPE}K${name}: policy host`)
    expect(stderr.endsWith(`\r${ESCAPE}K`)).toBe(true)
  })

  it.each([
    ['NO_COLOR is set', { NO_COLOR: '1' }],
    ['the terminal is dumb', { TERM: 'dumb' }],
  ])('does not colour where %s', async (_, env) => {
    const { name } = stage.domain({ mode: 'enforce' })
    const { stdout } = await stage.cli(['check', name], { isTTY: true, env })
    expect(stdout).not.toContain(ESCAPE)
  })

  it('uses colours where NO_COLOR is empty', async () => {
    const { name } = stage.domain({ mode: 'enforce' })
    const { stdout } = await stage.cli(['check', name], { isTTY: true, env: { NO_COLOR: '' } })
    expect(stdout).toContain(ESCAPE)
  })

  it.each([
    ['FORCE_COLOR is set, without a terminal', { FORCE_COLOR: '1' }, false, true],
    ['FORCE_COLOR goes before NO_COLOR', { FORCE_COLOR: '1', NO_COLOR: '1' }, false, true],
    ['FORCE_COLOR=0 on a terminal', { FORCE_COLOR: '0' }, true, false],
  ] as const)('decides on colours where %s', async (_, env, isTTY, coloured) => {
    const { name } = stage.domain({ mode: 'enforce' })
    const { stdout } = await stage.cli(['check', name], { isTTY, env })
    expect(stdout.includes(ESCAPE)).toBe(coloured)
  })

  it('marks the verdict of senders with a cached policy as untried without --connect', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.record(null)
    const { stdout } = await stage.cli(['check', domain.name])
    expect(stdout).toMatch(/^· senders with the policy cached apply it/m)
  })

  it('uses neither colours nor progress without a terminal', async () => {
    const { name } = stage.domain({ mode: 'enforce' })
    const { stdout, stderr } = await stage.cli(['check', name])
    expect(stdout).not.toContain(ESCAPE)
    expect(stderr).toBe('')
  })
})

describe('text of remote parties', () => {
  const EVIL = '\u{1b}[2J\u{202e}\u{7}'

  it.each([[['--connect']], [['--connect', '--json']]])('is escaped (%s)', async (argv) => {
    const domain = stage.domain({ body: `version: STSv1\nmode: ${EVIL}\nmax_age: 1\n` })
    stage.world.dns.set(`_smtp._tls.${domain.name}`, 'TXT', [`v=TLSRPTv1; rua=${EVIL}`])
    domain.mx().fails({ at: 'greeting', reply: `554 ${EVIL}` })
    const { stdout } = await stage.cli(['check', domain.name, ...argv])
    expect(stdout).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u)
    expect(stdout).toMatch(/\\u\{?0?0?1b/)
  })

  it('is complete in JSON', async () => {
    const domain = stage.domain({ body: `version: STSv1\nmode: ${EVIL}\nmax_age: 1\n` })
    const { policy } = await stage.check(domain)
    expect(policy?.lines[1]?.text).toBe(`mode: ${EVIL}`)
  })
})
