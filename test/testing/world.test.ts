import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { AddressPlan } from '../../src/testing/addresses.js'
import { createMailWorld, FAULTS } from '../../src/testing/index.js'
import { loadPeers } from '../../src/testing/optional-packages.js'
import { codeOf, deliver, dial, get, RawClient, session, tlsTo } from './support.js'

describe('a world', () => {
  it('takes messages, and as many domains as one likes', async () => {
    await using world = await createMailWorld()
    const bob = world.domain('bob.example', { mode: 'enforce' })
    for (let n = 0; n < 500; n++) world.domain(`d${n}.example`, { mode: 'enforce' })
    await get(world, bob.policyHost)
    await deliver(await session(world, bob.mx()))
    expect(bob.inbox).toHaveLength(1)
  })

  it('lives beside others', async () => {
    await using one = await createMailWorld()
    await using other = await createMailWorld()
    one.domain('bob.example', { mode: 'enforce' })
    other.domain('bob.example', { mode: 'testing' })
    expect(one.ca).not.toBe(other.ca)
    await deliver(await session(one, one.domain('bob.example').mx()))
    expect(other.inbox).toEqual([])
    expect(other.log).toEqual([])
  })

  it('tells in order what happened, and forgets', async () => {
    await using world = await createMailWorld()
    const bob = world.domain('bob.example', { mode: 'enforce' })
    await world.options().resolver.resolveTxt('_mta-sts.bob.example')
    await get(world, bob.policyHost)
    await deliver(await session(world, bob.mx()))
    expect(world.log.map(({ kind }) => kind)).toEqual(['query', 'dial', 'get', 'dial', 'smtp'])
    expect(world.dials).toMatchObject([
      { purpose: 'policy', port: 443, address: bob.policyHost.ipv4, outcome: 'connected' },
      { purpose: 'smtp', port: 25, address: bob.mx().ipv4, outcome: 'connected' },
    ])
    expect(world.connections).toEqual(bob.mx().connections)
    world.forget()
    expect([world.log, world.inbox, bob.inbox, bob.mx().inbox].flat()).toEqual([])
  })

  it('says so when a name is taken, or none', async () => {
    await using world = await createMailWorld()
    const bob = world.domain('bob.example', { mode: 'enforce' })
    expect(world.domain('BOB.example.')).toBe(bob)
    expect(() => world.domain('bob.example', { mode: 'none' })).toThrow(/already/)
    expect(() => world.mx('mx.bob.example', { requireTls: true })).toThrow(/already/)
    expect(() => world.domain('no domain')).toThrow(TypeError)
  })

  it('refuses addresses and ports that nobody has', async () => {
    await using world = await createMailWorld()
    const { connect: open } = world.options()
    const target = { purpose: 'smtp', host: 'x.example', address: '192.0.2.200', port: 25 }
    const socket = open(target)
    expect(socket.connecting).toBe(true)
    const [error] = await once(socket, 'error')
    expect(error).toMatchObject({ code: 'ECONNREFUSED', address: '192.0.2.200', port: 25 })
    expect(await codeOf(once(open({ ...target, address: '127.0.0.1' }), 'connect'))).toBe(
      'ECONNREFUSED',
    )
  })

  it('is reached over IPv6 addresses, however they are spelled', async () => {
    await using world = await createMailWorld()
    const mx = world.domain('bob.example').mx()
    const address = mx.ipv6.replace('2001:db8::', '2001:0DB8:0:0:0:0:0:')
    const target = { purpose: 'smtp', host: mx.name, address, port: 25 }
    await once(world.options().connect(target), 'connect')
    expect(world.dials).toMatchObject([{ outcome: 'connected' }])
  })

  it('brings many connections at once to whom they were meant for', async () => {
    await using world = await createMailWorld()
    const domains = Array.from({ length: 50 }, (_, n) => world.domain(`d${n}.example`))
    const greetings = await Promise.all(
      domains.map(async (domain) => (await RawClient.open(world, domain.mx())).reply()),
    )
    expect(greetings).toEqual(domains.map(({ name }) => `220 mx.${name} ESMTP`))
  })
})

it('clients that give up at once leave nothing behind', async () => {
  await using world = await createMailWorld()
  const [one, other] = [world.mx('one.example'), world.mx('other.example')]
  for (let round = 0; round < 20; round++) {
    for (let n = 0; n < 5; n++) {
      const socket = dial(world, one, 25)
      if (n % 2 === 0) socket.destroy()
      else setImmediate(() => socket.destroy())
    }
    const client = await RawClient.open(world, other)
    expect(await client.reply()).toBe('220 other.example ESMTP')
    client.socket.destroy()
  }
})

describe('the clock', () => {
  it('runs, and can be put forward', async () => {
    await using world = await createMailWorld()
    const { now } = world.options()
    expect(Math.abs(now() - Date.now())).toBeLessThan(1000)
    world.clock.advance({ days: 8, hours: 1, minutes: 1, seconds: 1, ms: 1 })
    const ahead = now() - Date.now()
    expect(Math.round(ahead / 1000)).toBe(8 * 86_400 + 3661)
    expect(() => world.clock.advance({ days: -1 })).toThrow(RangeError)
    expect(() => world.clock.advance({ ms: Number.NaN })).toThrow(RangeError)
  })
})

describe('closing', () => {
  it('ends every connection and frees every port', async () => {
    const world = await createMailWorld()
    const bob = world.domain('bob.example', { mode: 'enforce' })
    bob.mx().fails('handshake-stall')
    const client = await RawClient.open(world, bob.mx())
    await client.reply()
    const fetching = await tlsTo(world, bob.policyHost)
    const ended = Promise.all([once(client.socket, 'close'), once(fetching.resume(), 'close')])
    await Promise.all([world.close(), world.close()])
    await ended
    expect(await codeOf(once(dial(world, bob.mx(), 25), 'connect'))).toBe('ECONNREFUSED')
    const dns = connect(world.dns.port, '127.0.0.1')
    expect(await codeOf(once(dns, 'connect'))).toBe('ECONNREFUSED')
  })

  it('survives handshakes that are under way', async () => {
    for (let delay = 0; delay < 10; delay++) {
      const world = await createMailWorld()
      const bob = world.domain('bob.example', { mode: 'enforce' })
      const started = Array.from({ length: 5 }, () =>
        Promise.all([codeOf(tlsTo(world, bob.policyHost)), codeOf(session(world, bob.mx()))]),
      )
      for (let turn = 0; turn < delay * 3; turn++) await new Promise((done) => setImmediate(done))
      await world.close()
      await Promise.all(started)
    }
  })

  it('leaves nothing that keeps a process alive', async () => {
    const script = `
      import { createMailWorld } from './src/testing/index.ts'
      const world = await createMailWorld()
      const bob = world.domain('bob.example', { mode: 'enforce' })
      await world.options().resolver.resolveTxt('_mta-sts.bob.example')
      const target = { purpose: 'smtp', host: 'mx.bob.example', address: bob.mx().ipv4, port: 25 }
      const socket = world.options().connect(target)
      await new Promise((done) => socket.once('data', done))
      await world.close()
      console.log('closed')`
    const args = ['--import', 'tsx', '--input-type=module', '--eval', script]
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 })
    expect(stdout).toBe('closed\n')
  })
})

describe('the packages it is made of', () => {
  const fails = (error: Error) => () => Promise.reject(error)
  const missing = fails(Object.assign(new Error('no'), { code: 'ERR_MODULE_NOT_FOUND' }))
  const imports = {
    'smtp-server': () => import('smtp-server'),
    'smtp-server/lib/smtp-connection.js': () => import('smtp-server/lib/smtp-connection.js'),
    'dns-packet': () => import('dns-packet'),
  }

  it.each(['smtp-server', 'dns-packet'])('without %s: what to install', (id) =>
    expect(loadPeers({ ...imports, [id]: missing })).rejects.toMatchObject({
      code: 'EPEER',
      message: `mta-sts/testing needs the package ${id}. Install what it is made of: npm install --save-dev smtp-server dns-packet`,
    }),
  )

  it('an error of their own stays what it is', async () => {
    const broken = new SyntaxError('broken')
    await expect(loadPeers({ ...imports, 'dns-packet': fails(broken) })).rejects.toBe(broken)
  })
})

describe('addresses', () => {
  it('are those of documentation, and shared once there are no more', () => {
    const plan = new AddressPlan()
    const taken = Array.from({ length: 70_000 }, () => plan.next())
    expect(taken[0]).toEqual({ ipv4: '192.0.2.1', ipv6: '2001:db8::1' })
    expect(new Set(taken.slice(0, 762).map(({ ipv4 }) => ipv4)).size).toBe(762)
    expect(taken[762]?.ipv4).toBe('192.0.2.1')
    expect(new Set(taken.map(({ ipv6 }) => ipv6)).size).toBe(70_000)
    expect(taken.at(-1)?.ipv6).toBe('2001:db8::1:1170')
  })

  it('that are shared lead to the host that was named', async () => {
    await using world = await createMailWorld()
    for (let n = 0; n < 762; n++) world.mx(`mx${n}.example`)
    const [first, last] = [world.mx('mx0.example'), world.mx('again.example')]
    expect(last.ipv4).toBe(first.ipv4)
    const client = await RawClient.open(world, last)
    expect(await client.reply()).toBe('220 again.example ESMTP')
  })
})

describe('the table of faults', () => {
  it('has every fault, each with a verdict', () => {
    const names = (table: readonly { name: string }[]) => table.map(({ name }) => name)
    expect(names(FAULTS.mx)).toHaveLength(21)
    expect(names(FAULTS.policyHost)).toHaveLength(14)
    expect(names(FAULTS.dns)).toHaveLength(11)
    for (const fault of Object.values(FAULTS).flat()) {
      expect(fault.plays).not.toBe('')
      expect(fault.verdict).not.toBe('')
      expect(fault.outcome === 'refused').toBe(/^refused/.test(fault.verdict))
    }
  })
})
