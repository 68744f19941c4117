/**
 * The speed of reading policy files and of matching MX hosts. mailauth checks less of either.
 *
 * @module
 */
import { parsePolicy as theirParsePolicy, validateMx } from 'mailauth/lib/mta-sts.js'
import { matchesMx, parsePolicy } from 'mta-sts'
import { atLeast, type Benchmark, MANY_SHORT, pairedRow, planFor } from '../benchmark.js'
import { alternate, perSecond } from '../pairs.js'

/** Real policies: of large providers, companies, individuals. */
const POLICIES = [
  ['mx.example.com'],
  ['mx1.mail.example.net', 'mx2.mail.example.net'],
  ['*.mail.protection.example.org'],
  [
    'aspmx.l.example.com',
    'alt1.aspmx.l.example.com',
    '*.aspmx.l.example.com',
    '*.mail.example.com',
  ],
  ['mx-in1.example.de', 'mx-in2.example.de', 'mx-in3.example.de', 'mx-fallback.example.eu'],
].map((mx, index) => ({
  mx,
  file: Buffer.from(
    [
      'version: STSv1',
      `mode: ${index % 2 === 0 ? 'enforce' : 'testing'}`,
      ...mx.map((pattern) => `mx: ${pattern}`),
      'max_age: 604800',
      '',
    ].join(index % 3 === 0 ? '\n' : '\r\n'),
  ),
}))

export const parse: Benchmark = async (mode) => {
  const rounds = mode === 'quick' ? 100 : 5000
  const files = POLICIES.map(({ file }) => file)
  for (const [index, { mx, file }] of POLICIES.entries()) {
    const [us, them] = [parsePolicy(file), theirParsePolicy(file)]
    const same = us.mode === them.mode && us.maxAge === them.maxAge
    if (same && us.mx.join() === mx.join() && them.mx?.join() === mx.join()) continue
    throw new Error(`The two do not read the same in policy ${index}`)
  }
  const legOf = (read: (file: Buffer) => { mx?: readonly string[] }) => () =>
    perSecond(rounds * files.length, () => {
      let patterns = 0
      for (let round = 0; round < rounds; round++) {
        for (const file of files) patterns += read(file).mx?.length ?? 0
      }
      if (patterns !== 12 * rounds) throw new Error(`There were ${patterns} patterns`)
    })
  const figures = await alternate(
    { ours: legOf(parsePolicy), theirs: legOf(theirParsePolicy) },
    planFor(mode, MANY_SHORT),
  )
  return {
    rows: [
      pairedRow(figures, {
        name: 'parse',
        what: 'policy files, of 1 to 4 mx',
        beside: 'parsePolicy of mailauth',
        unit: '/s',
        target: atLeast(1),
      }),
    ],
  }
}

/** MX hosts, and whether the policy with this index names them. */
const QUESTIONS: ReadonlyArray<[host: string, policy: number, named: boolean]> = [
  ['mx.example.com', 0, true],
  ['mx.attacker.example', 0, false],
  ['mx2.mail.example.net', 1, true],
  ['mx3.mail.example.net', 1, false],
  ['example-com.mail.protection.example.org', 2, true],
  ['mail.protection.example.org', 2, false],
  ['alt1.aspmx.l.example.com', 3, true],
  ['alt4.aspmx.l.example.com', 3, true],
  ['aspmx.l.example.org', 3, false],
  ['mx-fallback.example.eu', 4, true],
]

export const match: Benchmark = async (mode) => {
  const rounds = mode === 'quick' ? 100 : 20_000
  const ours = QUESTIONS.map(([host, index]) => ({ host, patterns: POLICIES[index]?.mx ?? [] }))
  const theirs = QUESTIONS.map(([host, index]) => ({
    host,
    policy: theirParsePolicy(POLICIES[index]?.file ?? ''),
  }))
  const named = QUESTIONS.filter(([, , isNamed]) => isNamed).length
  const legOf = (countNamed: () => number) => () =>
    perSecond(rounds * QUESTIONS.length, () => {
      let found = 0
      for (let round = 0; round < rounds; round++) found += countNamed()
      if (found !== named * rounds) throw new Error(`${found} hosts were named`)
    })
  const figures = await alternate(
    {
      ours: legOf(() => {
        let found = 0
        for (const { host, patterns } of ours) if (matchesMx(host, patterns)) found++
        return found
      }),
      theirs: legOf(() => {
        let found = 0
        for (const { host, policy } of theirs) if (validateMx(host, policy).valid) found++
        return found
      }),
    },
    planFor(mode, MANY_SHORT),
  )
  return {
    rows: [
      pairedRow(figures, {
        name: 'match',
        what: 'MX hosts against policies of 1 to 4 mx',
        beside: 'validateMx of mailauth',
        unit: '/s',
        target: atLeast(2),
      }),
    ],
  }
}
