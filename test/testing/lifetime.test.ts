/** What a world costs, what it leaves behind, where it refuses to start. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { promisify } from 'node:util'
import nodemailer from 'nodemailer'
import { describe, expect, it } from 'vitest'
import { bridge } from '../../src/testing/expose.js'
import { createMailWorld } from '../../src/testing/index.js'
import { checkRuntime, type RuntimeChecks } from '../../src/testing/runtime-check.js'
import { RawClient } from './support.js'

const message = { from: 'me@shop.example', to: 'b@bob.example', subject: 'Hi', text: 'Hello' }

async function useOne(): Promise<void> {
  await using world = await createMailWorld()
  const bob = world.domain('bob.example')
  await nodemailer.createTransport(world.nodemailer(bob.mx())).sendMail(message)
  if (bob.inbox.length !== 1) throw new Error('The message has not arrived')
}

it('worlds one after the other leave no handle behind', async () => {
  await useOne()
  const before = process.getActiveResourcesInfo().length
  for (let n = 0; n < 50; n++) await useOne()
  await expect.poll(() => process.getActiveResourcesInfo().length).toBeLessThanOrEqual(before + 2)
})

it('50 worlds side by side are apart', async () => {
  await Promise.all(Array.from({ length: 50 }, useOne))
})

it('a world that nobody closed does not keep the process alive', async () => {
  const script = `
    import nodemailer from 'nodemailer'
    import { createMailWorld } from './src/testing/index.ts'
    const world = await createMailWorld()
    const bob = world.domain('bob.example', { mode: 'enforce' })
    await nodemailer.createTransport(world.nodemailer()).sendMail({ to: 'b@bob.example', text: 'x' })
    await world.env()
    console.log(bob.inbox.length)`
  const args = ['--import', 'tsx', '--input-type=module', '--eval', script]
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 25_000 })
  expect(stdout).toBe('1\n')
})

/** Runs a program, which has to end by itself. */
async function runScript(script: string): Promise<string> {
  const args = ['--import', 'tsx', '--input-type=module', '--eval', script]
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 25_000 })
  return stdout
}

it('leaves no socket and no server when close() has resolved, whatever held the connections', async () => {
  const stdout = await runScript(`
    import { once } from 'node:events'
    import { createMailWorld } from './src/testing/index.ts'
    const world = await createMailWorld()
    const hosts = [
      (mx) => mx.fails({ at: 'connect', act: 'stall' }),
      (mx) => mx.fails({ at: 'greeting', delay: 600_000 }),
      (mx) => mx.fails('slow'),
      (mx) => mx.link({ latency: 600_000 }),
      // The greeting takes minutes: the link reads nothing more meanwhile
      (mx) => mx.link({ bandwidth: 1 }),
      () => undefined,
    ].map((hold, n) => {
      const mx = world.domain('d' + n + '.example').mx()
      hold(mx)
      return mx
    })
    const { connect } = world.options()
    const open = hosts.map((mx) =>
      connect({ purpose: 'smtp', host: mx.name, address: mx.ipv4, port: 25 }),
    )
    for (const socket of open) socket.on('error', () => undefined)
    const last = open.at(-1)
    await once(last, 'data')
    const port = hosts.at(-1).listen()
    const env = world.env()
    env.catch(() => undefined)
    const closing = world.close()
    for (const socket of open) socket.destroy()
    await closing
    await port
    const left = process.getActiveResourcesInfo().filter((name) => /TCP|UDP/.test(name))
    console.log(JSON.stringify(left))`)
  expect(stdout).toBe('[]\n')
})

it('refuses env() for a world that was closed meanwhile', async () => {
  const world = await createMailWorld()
  const env = world.env()
  const [refused] = await Promise.allSettled([env, world.close()])
  expect(refused).toMatchObject({ reason: { message: 'env(): this mail world is closed' } })
})

it('closes both ends of an exposed connection whose client does not read', async () => {
  const hosts = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.write(Buffer.alloc(64 * 1024 * 1024))
  })
  hosts.listen(0, '127.0.0.1')
  await once(hosts, 'listening')
  const far: Socket[] = []
  const { server, close } = await bridge({ port: 0, host: '127.0.0.1' }, () => {
    const socket = connect((hosts.address() as AddressInfo).port, '127.0.0.1')
    far.push(socket)
    return socket
  })
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.on('error', () => undefined)
  client.pause()
  await expect.poll(() => far[0]?.isPaused()).toBe(true)

  await close()

  expect(far[0]?.destroyed).toBe(true)
  expect(server.listening).toBe(false)
  client.destroy()
  hosts.close()
})

describe('a connection', () => {
  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'whose certificate was refused is recorded as closed, with its TLS: %s',
    async (version) => {
      await using world = await createMailWorld()
      const mx = world.domain('bob.example').mx()
      mx.fails('wrong-name')
      mx.tls({ maxVersion: version })
      const client = await RawClient.open(world, mx)
      await client.reply()
      await client.say('EHLO s.example')
      await client.say('STARTTLS')
      const secure = tlsConnect({ socket: client.socket, servername: mx.name, ca: world.ca })
      await expect(once(secure, 'secureConnect')).rejects.toThrow(/altnames/)
      await expect.poll(() => mx.connections[0]?.closed).toBe(true)
      expect(mx.connections[0]?.tls).toMatchObject({ version, servername: mx.name })
    },
  )
})

describe('the check of the runtime', () => {
  const good: RuntimeChecks = {
    takesCommonName: async () => false,
    connects: async (servername) => servername === 'right.example',
  }

  it('passes here', () => checkRuntime())

  it('leaves a network without loopback to expose()', async () => {
    const connects = async () => {
      throw Object.assign(new Error('connect ENETUNREACH'), { code: 'ENETUNREACH' })
    }
    await checkRuntime({ ...good, connects })
    const failing = async () => {
      throw new Error('no server')
    }
    await expect(checkRuntime({ ...good, connects: failing })).rejects.toThrow('no server')
  })

  it.each([
    ['takes a common name', { ...good, takesCommonName: async () => true }, /common name/],
    ['takes another name', { ...good, connects: async () => true }, /for another host/],
    ['takes nothing', { ...good, connects: async () => false }, /not take a good certificate/],
  ])('refuses a runtime that %s', async (_, checks, words) => {
    const refused = checkRuntime(checks)
    await expect(refused).rejects.toMatchObject({ code: 'ERUNTIME' })
    await expect(refused).rejects.toThrow(words)
  })
})
