/** `mta-sts/dane` and the command where the optional package `dns-packet` is not installed. */
import { expect, it } from 'vitest'
import { dane, dnssecResolver } from '../../src/dane/index.js'
import { cli } from '../cli/support.js'
import { withoutPackage } from '../support/without-package.js'

withoutPackage('dns-packet')

const MESSAGE = 'mta-sts/dane needs the package dns-packet: npm install dns-packet'

it.each([
  ['dnssecResolver()', () => dnssecResolver({ servers: ['127.0.0.1'] })],
  ['dane()', () => dane()],
])('%s says what to install, before any message', (_, call) => {
  expect(call).toThrow(
    expect.objectContaining({ name: 'MtaStsError', code: 'EPEER', message: MESSAGE }),
  )
})

it('dane() with a resolver of the caller needs no package', () => {
  const resolver = { lookup: async () => ({ kind: 'failed' }) }
  expect(() => dane({ resolver: resolver as never })).not.toThrow('dns-packet')
})

it('check --dane says what to install: status 3', async () => {
  const resolver = {
    resolveTxt: async () => [],
    resolveMx: async () => [],
    resolve4: async () => [],
  }
  const { status, stderr } = await cli(['check', '--dane', 'a.example'], {
    resolver: { ...resolver, resolve6: async () => [] },
  })
  expect({ status, stderr }).toEqual({ status: 3, stderr: `mta-sts: ${MESSAGE}\n` })
})
