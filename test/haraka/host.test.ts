import { describe, expect, it } from 'vitest'
import { knownHost } from '../../src/haraka/host.js'
import { modules } from './support.js'

function host(parts: Partial<ReturnType<typeof modules>> = modules()) {
  return knownHost({
    haraka_require(name) {
      const found = Reflect.get(parts, name)
      if (found === undefined) throw new Error(`Cannot find module ./${name}`)
      return found
    },
  })
}

describe('Haraka as the plugin knows it', () => {
  it('is accepted with every used part', () => {
    expect(host().outbound()).toEqual({ local_mx_ok: true })
  })

  it.each(['2.8.28', '3.0.3', '4.0.0', 'undefined'])('is refused as version %s', (version) => {
    expect(() => host(modules(version))).toThrow(
      `mta-sts does not know Haraka ${version}: the known versions are from 3.0.4 up to 4. Install`,
    )
  })

  it.each(['outbound/client_pool', 'outbound/hmail', 'outbound', 'outbound/tls'])(
    'is refused without its module %s',
    (name) => {
      const { [name as 'outbound']: _, ...rest } = modules()
      expect(() => host(rest)).toThrow(`mta-sts does not know Haraka 3.3.4: ${name}: `)
    },
  )

  it.each([
    'get_mx_respond',
    'found_mx',
    'try_deliver',
    'try_deliver_host_on_socket',
    'delivered',
    'temp_fail',
    'extend_rcpt_with_dsn',
  ])('is refused with another %s', (method) => {
    const parts = modules()
    Reflect.set(Reflect.get(parts['outbound/hmail'], 'prototype'), method, () => 'something else')
    expect(() => host(parts)).toThrow(
      expect.objectContaining({
        code: 'EHOST',
        message: expect.stringContaining(
          `outbound/hmail: prototype.${method} differs from the known versions`,
        ),
      }),
    )
  })

  it('is refused with another get_client', () => {
    const parts = modules()
    parts['outbound/client_pool'].get_client = async () => undefined
    expect(() => host(parts)).toThrow(
      'outbound/client_pool: get_client differs from the known versions',
    )
  })
})
