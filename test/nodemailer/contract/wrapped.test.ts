/** What `withMtaSts` takes, and what becomes of what a wrapped transporter was made with. */
import nodemailer, { type Transporter } from 'nodemailer'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MtaSts, type MtaStsOptions } from '../../../src/index.js'
import { withMtaSts } from '../../../src/nodemailer/index.js'
import { errorOf } from '../../e2e/support.js'
import { AUTH, type Identity, MESSAGE, newIdentity, SmartHost, stsOptions } from './smart-host.js'

const identity: Promise<Identity> = newIdentity()
const transporters: Transporter[] = []
let host: SmartHost

beforeEach(async () => {
  host = await SmartHost.begin(identity)
})

afterEach(async () => {
  for (const transporter of transporters.splice(0)) transporter.close()
  await host.close()
})

function smartHost(options: object = {}): object {
  return {
    host: 'localhost',
    port: host.port,
    auth: AUTH,
    tls: { ca: host.authority.root },
    ...options,
  }
}

function sender(given: unknown): Transporter {
  const transport = withMtaSts(given as never, stsOptions(host, 'enforce'))
  const transporter = nodemailer.createTransport(transport as never) as Transporter
  transporters.push(transporter)
  return transporter
}

describe('a transporter', () => {
  it('its defaults and plugins reach the message', async () => {
    const inner = nodemailer.createTransport(smartHost() as never, { subject: 'From inside' })
    inner.use('compile', (mail, done) => {
      mail.data.text = 'by the inner plugin'
      done()
    })
    await sender(inner).sendMail({ from: 'me@sender.example', to: 'you@example.com' })
    expect(host.got[0]?.text).toMatch(/^Subject: From inside/m)
    expect(host.got[0]?.text).toMatch(/by the inner plugin/)
  })

  it('its meta values and its proxy are those of the new one', async () => {
    const inner = nodemailer.createTransport(smartHost({ port: 1 }) as never)
    inner.set('key', 'value')
    const { connect } = await import('node:net')
    const getSocket = (_: object, done: (error: Error | null, options: object) => void) => {
      const connection = connect(host.port, 'localhost', () => done(null, { connection }))
    }
    Object.assign(inner, { getSocket })
    const outer = sender(inner)
    expect(outer.get('key')).toBe('value')
    await outer.sendMail(MESSAGE)
    expect(host.got).toHaveLength(1)
  })

  it('that is held already is refused', () => {
    const transport = withMtaSts(smartHost() as never, stsOptions(host, 'enforce'))
    expect(() => withMtaSts(transport as never)).toThrow(/already/)
  })
})

describe('a URL', () => {
  it.each([false, true])('is an SMTP transport, TLS from the first byte on: %s', async (secure) => {
    const port = secure ? host.tlsPort : host.port
    const url = `smtp${secure ? 's' : ''}://me:secret@localhost:${port}`
    const info = await sender(url).sendMail(MESSAGE)
    expect(info).toMatchObject({ deliveries: [{ mode: 'enforce', proved: 'sts' }] })
    expect(host.got).toMatchObject([{ tls: true, user: 'me' }])
  })
})

describe('the account of the policy', () => {
  it.each(['none', 'testing', 'enforce'] as const)('mode %s, single and pool', async (mode) => {
    for (const pool of [false, true]) {
      const transport = withMtaSts(
        smartHost({ pool, secure: true, port: host.tlsPort }) as never,
        stsOptions(host, mode),
      )
      const transporter = nodemailer.createTransport(transport)
      transporters.push(transporter as Transporter)
      const info = await transporter.sendMail(MESSAGE)
      // Under `testing` a host is judged, and what it lacks is recorded; nothing is demanded of it
      const proved = mode === 'enforce' ? 'sts' : 'nothing'
      expect(info).toMatchObject({
        deliveries: [{ mode, status: 'delivered', proved, failures: [] }],
      })
    }
  })
})

describe('after close()', () => {
  it('a single transport answers ECLOSED, and sends nothing', async () => {
    const transporter = sender(smartHost())
    await transporter.sendMail(MESSAGE)
    transporter.close()
    expect(await errorOf(transporter.sendMail(MESSAGE))).toMatchObject({ code: 'ECLOSED' })
    expect(host.got).toHaveLength(1)
  })

  it('a single transport with a shared MtaSts sends, as the plain one does', async () => {
    const { resolver, ca, ...options } = stsOptions(host, 'enforce')
    const sts = new MtaSts({ resolver, ca, ...options } as MtaStsOptions)
    const transport = withMtaSts(smartHost() as never, { resolver, ca, sts })
    const transporter = nodemailer.createTransport(transport)
    transporter.close()
    expect(await transporter.sendMail(MESSAGE)).toMatchObject({ deliveries: [{ proved: 'sts' }] })
    await sts.close()
  })

  it('a pool answers ECONNECTION, and sends nothing', async () => {
    const transporter = sender(smartHost({ pool: true }))
    transporter.close()
    expect(await errorOf(transporter.sendMail(MESSAGE))).toMatchObject({
      code: 'ECONNECTION',
      message: 'Connection pool was closed',
    })
    expect(host.got).toEqual([])
  })
})

describe.each([false, true])('pool %s: an aborted signal', (pool) => {
  it('ends a message before it is sent, with every version', async () => {
    const transporter = sender(smartHost({ pool }))
    const signal = AbortSignal.abort()
    const error = await errorOf(transporter.sendMail({ ...MESSAGE, signal } as never))
    expect(error).toMatchObject({ name: 'AbortError', code: 'EABORT' })
    expect(host.got).toEqual([])
  })
})
