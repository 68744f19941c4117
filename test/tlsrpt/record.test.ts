import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RecordSyntaxError } from '../../src/errors.js'
import { destinationOf } from '../../src/tlsrpt/destination.js'
import { parseTlsRptRecord, selectTlsRptRecord } from '../../src/tlsrpt/index.js'
import { lookupDestinations } from '../../src/tlsrpt/record.js'
import { FakeResolver } from './support.js'

interface RecordCase {
  name: string
  rrset: string[][]
  expected: { rua: string[] } | 'none'
}

const vectors: { cases: RecordCase[] } = JSON.parse(
  readFileSync(new URL('../fixtures/vectors/tlsrpt-record.json', import.meta.url), 'utf8'),
)

function ruaOf(rrset: string[][]): { rua: readonly string[] } | 'none' {
  const record = selectTlsRptRecord(rrset)
  return record === undefined ? 'none' : { rua: record.rua }
}

describe('the vectors', () => {
  it.each(vectors.cases)('[RPT-1] [RPT-2] $name', ({ rrset, expected }) => {
    expect(ruaOf(rrset)).toEqual(expected)
  })
})

describe('the record', () => {
  it('[RPT-1] is joined from its strings without spaces', () => {
    expect(ruaOf([['v=TLSRPTv1; rua=mailto:a@exam', 'ple.com']])).toEqual({
      rua: ['mailto:a@example.com'],
    })
  })

  it('[RPT-1] has other fields as extensions, and the first of repeated ruas', () => {
    expect(
      parseTlsRptRecord('v=TLSRPTv1; x=1; rua=mailto:a@b.example; rua=mailto:c@b.example; y=2;'),
    ).toEqual({
      version: 'TLSRPTv1',
      rua: ['mailto:a@b.example'],
      extensions: [
        { name: 'x', value: '1' },
        { name: 'y', value: '2' },
      ],
    })
  })

  it('[RPT-1] uses a repeated URI once', () => {
    const { rua } = parseTlsRptRecord('v=TLSRPTv1; rua=mailto:a@b.example,mailto:a@b.example')
    expect(rua).toEqual(['mailto:a@b.example'])
  })

  it.each([
    ['a malformed one beside a good one', [['v=TLSRPTv1; rua'], ['v=TLSRPTv1; rua=mailto:a@b.c']]],
    ['a version without a field', [['v=TLSRPTv1']]],
    ['a field without a name', [['v=TLSRPTv1; rua=mailto:a@b.example; =x']]],
    ['two semicolons', [['v=TLSRPTv1;; rua=mailto:a@b.example']]],
  ])('[RPT-2] is unusable: %s', (_, rrset) => {
    expect(selectTlsRptRecord(rrset)).toBeUndefined()
  })

  it('[RPT-2] is described when invalid, with its control characters escaped', () => {
    const parse = () => parseTlsRptRecord('v=TLSRPTv1; rua=ftp:\u001b[31m')
    expect(parse).toThrow(RecordSyntaxError)
    expect(parse).toThrow(/mailto: or https:.*\\u\{1b\}\[31m/)
  })

  it('[RPT-2] causes only RecordSyntaxError, and is selected without an error', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const record = `v=TLSRPTv1;${text}`
        const selected = selectTlsRptRecord([[record]])
        if (selected !== undefined) {
          expect(selected.rua.length).toBeGreaterThan(0)
          return
        }
        expect(() => parseTlsRptRecord(record)).toThrow(RecordSyntaxError)
      }),
    )
  })
})

describe('a destination', () => {
  it.each([
    ['mailto:reports@example.com', 'reports@example.com'],
    ['MAILTO:Reports@EXAMPLE.com', 'Reports@example.com'],
    ['mailto:a%2Bb@example.com', 'a+b@example.com'],
    ['mailto:reports@bücher.example', 'reports@xn--bcher-kva.example'],
    ['mailto:reports@example.com?subject=Hi', 'reports@example.com'],
  ])('[RPT-1] %s is the mailbox %s', (uri, mailbox) => {
    expect(destinationOf(uri)).toEqual({ kind: 'mail', uri, mailbox })
  })

  it.each([
    ['a header', 'mailto:a@example.com%0D%0ABcc:b@example.com'],
    ['a header in the local part', 'mailto:a%0Ab@example.com'],
    ['a second mailbox', 'mailto:a@example.com%2Cb@example.com'],
    ['an SMTP command', 'mailto:a@example.com%3E%0D%0ARCPT'],
    ['a quoted local part', 'mailto:%22a%20b%22@example.com'],
    ['an address literal', 'mailto:a@[127.0.0.1]'],
    ['no domain', 'mailto:a'],
    ['no local part', 'mailto:@example.com'],
    ['a broken escape', 'mailto:a%zz@example.com'],
    ['a limit as DMARC has it', 'mailto:a@example.com!10m'],
    ['a long local part', `mailto:${'a'.repeat(65)}@example.com`],
    ['plain http', 'http://example.com/'],
    ['a user name', 'https://user:pass@example.com/'],
    ['an IPv4 address', 'https://127.0.0.1/'],
    ['an IPv4 address as a number', 'https://2130706433/'],
    ['an IPv6 address', 'https://[::1]/'],
    ['no host', 'https:///'],
    ['too long', `https://example.com/${'a'.repeat(2048)}`],
    ['javascript', 'javascript:alert(1)'],
  ])('[RPT-1] %s is not used: %s', (_, uri) => {
    expect(destinationOf(uri)).toBeUndefined()
  })

  it('[RPT-1] of https keeps port, path and query', () => {
    const found = destinationOf('https://r.example.com:8443/v1/t?d=ab&x=1')
    if (found?.kind !== 'https') throw new Error('it is not https')
    expect(found.url.href).toBe('https://r.example.com:8443/v1/t?d=ab&x=1')
  })
})

describe('the lookup', () => {
  it('[RPT-1] asks for _smtp._tls below the domain only', async () => {
    const resolver = new FakeResolver({ 'bob.example': 'mailto:a@bob.example' })
    const found = await lookupDestinations('bob.example', { resolver, dnsTimeout: 1000 })
    expect(found).toEqual({
      kind: 'found',
      destinations: [{ kind: 'mail', uri: 'mailto:a@bob.example', mailbox: 'a@bob.example' }],
    })
    expect(resolver.questions).toEqual(['_smtp._tls.bob.example'])
  })

  it('[RPT-13] returns one destination for several spellings', async () => {
    const rua =
      'mailto:a@r.example,https://R.example/x,MAILTO:%61@R.example,mailto:b@r.example,https://r.example:443/x'
    const resolver = new FakeResolver({ 'bob.example': rua })
    const found = await lookupDestinations('bob.example', { resolver, dnsTimeout: 1000 })
    expect(found).toMatchObject({
      destinations: [
        { uri: 'mailto:a@r.example' },
        { uri: 'https://R.example/x' },
        { uri: 'mailto:b@r.example' },
      ],
    })
  })

  it('[RPT-2] distinguishes "no record" from "unknown"', async () => {
    const resolver = new FakeResolver()
    resolver.txt.set('_smtp._tls.broken.example', 'SERVFAIL')
    resolver.txt.set('_smtp._tls.other.example', ['v=spf1 -all'])
    const lookup = (domain: string) => lookupDestinations(domain, { resolver, dnsTimeout: 1000 })
    expect(await lookup('none.example')).toEqual({ kind: 'none' })
    expect(await lookup('other.example')).toEqual({ kind: 'none' })
    expect(await lookup('broken.example')).toMatchObject({ kind: 'failed' })
  })

  it.each([[[null]], [[[null]]], [['v=TLSRPTv1']], [[new Array(2)]], [new Array(1)]])(
    '[RPT-17] %j is not an answer: unknown',
    async (junk) => {
      const resolver = { ...new FakeResolver(), resolveTxt: async () => junk as never }
      const options = { resolver: resolver as unknown as FakeResolver, dnsTimeout: 1000 }
      expect(await lookupDestinations('bob.example', options)).toMatchObject({ kind: 'failed' })
    },
  )
})
