/**
 * Chains, TLSA records and verdicts of the shared vectors: for certificates alone, and for the peer
 * of a real handshake.
 */
import { describe, expect, it } from 'vitest'
import { type DaneVerdict, judgeCertificates, verifyPeer } from '../../src/dane/verify.js'
import { type DaneCase, peerOf, pemOf, recordsOf, vectors, withPeer } from './support.js'

const RULES: ReadonlyArray<[prefix: RegExp, rule: string]> = [
  [/^ee-/, 'DANE-6'],
  [/^ta-2.0-(?:root-out|ca2-leaf)|^ta-anchor-(?:expired|not-a-ca)-2/, 'DANE-13'],
  [/^(?:ta|name)-/, 'DANE-7'],
  [/^agility-/, 'DANE-11'],
  [/^(?:unusable|mixed)-/, 'DANE-4'],
]

function title({ id, expect: expected, rfc }: DaneCase): string {
  const [, rule] = RULES.find(([prefix]) => prefix.test(id)) ?? []
  return `[${rule}] ${id}: ${expected} (RFC ${rfc})`
}

function compare(verdict: DaneVerdict, vector: DaneCase): void {
  expect(verdict.outcome).toBe(vector.expect)
  if (vector.resultType !== undefined) {
    expect(verdict).toMatchObject({ resultType: vector.resultType })
  }
}

it('all vectors are present', () => {
  expect(vectors.cases).toHaveLength(104)
})

describe('the verdict on certificates', () => {
  it.each(vectors.cases.map((vector) => [title(vector), vector] as const))('%s', (_, vector) => {
    const demand = { names: vector.names, now: vector.at ?? vectors.now }
    compare(judgeCertificates(peerOf(vector.chain), recordsOf(vector), demand), vector)
  })
})

describe('the verdict on the peer of a handshake', () => {
  it.each(vectors.cases.map((vector) => [title(vector), vector] as const))(
    '%s',
    async (_, vector) => {
      const server = { chain: vector.chain.map(pemOf), key: vectors.keys[vector.key] ?? '' }
      const verdict = await withPeer(server, (socket) =>
        verifyPeer(socket, recordsOf(vector), vector.names, vector.at ?? vectors.now),
      )
      compare(verdict, vector)
    },
  )
})
