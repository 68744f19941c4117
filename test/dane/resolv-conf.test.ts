import { describe, expect, it } from 'vitest'
import {
  isLoopback,
  parseResolvConf,
  parseServer,
  systemResolvConf,
} from '../../src/dane/resolv-conf.js'

const at = (address: string, port = 53) => ({ address, port })

describe('resolv.conf', () => {
  it('lists the servers, at most three, and the options', () => {
    const text = `
# a comment
; another
search example.com
nameserver 127.0.0.53
nameserver ::1
nameserver not-an-address
nameserver fe80::1%eth0
nameserver 192.0.2.1
options edns0 trust-ad timeout:3 attempts:4
`
    expect(parseResolvConf(text)).toEqual({
      servers: [at('127.0.0.53'), at('::1'), at('fe80::1%eth0')],
      trustAd: true,
      timeout: 3000,
      attempts: 4,
    })
  })

  it.each(['', 'nameserver\n', 'options timeout:x attempts:\n'])(
    '%j means the server of this machine, without bounds',
    (text) => {
      expect(parseResolvConf(text)).toEqual({
        servers: [at('127.0.0.1')],
        trustAd: false,
        timeout: undefined,
        attempts: undefined,
      })
    },
  )

  it('has bounds within those of the C library', () => {
    expect(parseResolvConf('options timeout:0 attempts:99')).toMatchObject({
      timeout: 1000,
      attempts: 5,
    })
    expect(parseResolvConf('options timeout:99')).toMatchObject({ timeout: 30_000 })
  })

  it('means the server of this machine if it is missing', () => {
    expect(systemResolvConf('/no/such/file')).toMatchObject({ servers: [at('127.0.0.1')] })
  })
})

describe('[DANE-1] loopback', () => {
  it.each([
    ['127.0.0.1', true],
    ['127.0.0.53', true],
    ['127.255.255.254', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['128.0.0.1', false],
    ['10.0.0.1', false],
    ['192.0.2.53', false],
    ['::2', false],
    ['fe80::1', false],
    ['fe80::1%eth0', false],
    ['::ffff:10.0.0.1', false],
  ])('%s: %s', (address, expected) => {
    expect(isLoopback(at(address))).toBe(expected)
  })
})

describe('a server', () => {
  it.each([
    ['127.0.0.1', at('127.0.0.1')],
    ['127.0.0.1:5353', at('127.0.0.1', 5353)],
    ['::1', at('::1')],
    ['[::1]', at('::1')],
    ['[::1]:5353', at('::1', 5353)],
  ])('%s', (text, server) => {
    expect(parseServer(text)).toEqual(server)
  })
})
