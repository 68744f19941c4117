/** Other Node processes in a mail world: led there, or joining it. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createMailWorld, type MailWorld } from '../../src/testing/index.js'
import { joinMailWorld } from '../../src/testing/remote.js'
import { codeOf } from './support.js'

let world: MailWorld

beforeEach(async () => {
  world = await createMailWorld()
})
afterEach(() => world.close())

const node = async (preload: readonly string[], program: string): Promise<string> => {
  const env = { ...process.env, ...(await world.env()) }
  const imports = ['tsx', ...preload].flatMap((one) => ['--import', one])
  const args = [...imports, '--input-type=module', '--eval', program]
  const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 25_000 })
  return stdout
}

describe('a process that is led into the world', () => {
  const LED = ['./src/testing/remote.ts']

  it('delivers to MX hosts without an option: resolver, connections, root, policy', async () => {
    const bob = world.domain('bob.example', { mode: 'enforce' })
    const program = `
      import nodemailer from 'nodemailer'
      import { mtaStsTransport } from './src/nodemailer/index.ts'
      const transporter = nodemailer.createTransport(mtaStsTransport())
      const { deliveries } = await transporter.sendMail({ from: 'a@s.example', to: 'b@bob.example', text: 'x' })
      console.log(deliveries[0].mode, deliveries[0].proved)
      transporter.close()`
    expect(await node(LED, program)).toBe('enforce sts\n')
    expect(bob.inbox).toMatchObject([{ tls: { version: 'TLSv1.3' } }])
    expect(world.dials.map(({ host, port, outcome }) => [host, port, outcome])).toEqual([
      ['mta-sts.bob.example', 443, 'connected'],
      ['mx.bob.example', 25, 'connected'],
    ])
  })

  it('plain Nodemailer reaches a smart host by its name, and the date goes with the clock', async () => {
    const host = world.smartHost('smtp.p.example', { auth: { user: 'me', pass: 'secret' } })
    world.smartHost('smtps.p.example', { port: 465 })
    world.clock.advance({ days: 400 })
    const program = `
      import nodemailer from 'nodemailer'
      const message = { from: 'a@s.example', to: 'b@bob.example', text: 'x' }
      const options = { host: 'smtp.p.example', port: 587, auth: { user: 'me', pass: 'secret' } }
      await nodemailer.createTransport(options).sendMail(message)
      await nodemailer.createTransport({ host: 'smtps.p.example', port: 465, secure: true }).sendMail(message)
      const refused = await nodemailer.createTransport({ host: 'smtp.p.example', port: 26 }).sendMail(message).catch((error) => error)
      console.log(refused.code, Math.round((Date.now() - ${Date.now()}) / 86_400_000), Math.round((new Date() - ${Date.now()}) / 86_400_000))`
    expect(await node(LED, program)).toBe('ESOCKET 400 400\n')
    expect(host.inbox).toMatchObject([{ tls: { servername: 'smtp.p.example' } }])
    expect(world.inbox).toHaveLength(2)
  })

  it('ends when it has nothing more to do, and is no worse off where it does not lead', async () => {
    const program = `
      import { createServer } from 'node:http'
      const server = createServer((_, response) => response.end('local')).listen(0, async () => {
        console.log(await (await fetch('http://127.0.0.1:' + server.address().port)).text())
        server.close()
      })`
    expect(await node(LED, program)).toBe('local\n')
  })
})

describe('joinMailWorld()', () => {
  it('brings what a sender needs; the clock goes along', async () => {
    const bob = world.domain('bob.example', { mode: 'enforce' })
    const env = await world.env()
    const remote = await joinMailWorld(env)
    expect(remote.ca.trim()).toBe(world.ca)
    const { resolver, connect, now } = remote.options()
    expect(await resolver.resolveMx('bob.example')).toMatchObject([{ exchange: 'mx.bob.example' }])
    const target = { purpose: 'smtp', host: 'mx.bob.example', address: bob.mx().ipv4, port: 25 }
    const socket = connect(target)
    const [greeting] = await once(socket, 'data')
    expect(String(greeting)).toBe('220 mx.bob.example ESMTP\r\n')
    socket.destroy()
    bob.mx().fails('unreachable')
    expect(await codeOf(once(connect(target), 'connect'))).toBe('ECONNREFUSED')
    world.clock.advance({ days: 2 })
    await expect.poll(() => now() - Date.now()).toBeGreaterThan(2 * 86_400_000 - 60_000)
    remote.close()
  })

  it('without the variables: an error that says so', async () => {
    await expect(joinMailWorld({})).rejects.toMatchObject({ code: 'ENOWORLD' })
  })

  it('a world that has ended refuses connections', async () => {
    const remote = await joinMailWorld(await world.env())
    await world.close()
    const target = { purpose: 'smtp', host: 'mx.bob.example', address: '192.0.2.1', port: 25 }
    expect(await codeOf(once(remote.options().connect(target), 'connect'))).toBe('ECONNREFUSED')
    remote.close()
  })
})
