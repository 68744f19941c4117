import { once } from 'node:events'
import { checkServerIdentity } from 'node:tls'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMailWorld, type MailDomain, type MailWorld } from '../../src/testing/index.js'
import { codeOf, dial, get, tlsTo } from './support.js'

let world: MailWorld
let count = 0
const fresh = (): MailDomain => world.domain(`d${++count}.example`, { mode: 'enforce', id: '1' })

beforeAll(async () => {
  world = await createMailWorld()
})
afterAll(() => world.close())

it('serves the policy over verified TLS, and tells what was asked', async () => {
  const domain = world.domain('bob.example', {
    mode: 'testing',
    maxAge: 86_400,
    mx: ['mx1', 'mx2'],
  })
  const { status, headers, body } = await get(world, domain.policyHost)
  expect(status).toBe(200)
  expect(headers['content-type']).toBe('text/plain')
  expect(body.toString()).toBe(
    'version: STSv1\r\nmode: testing\r\nmx: mx1.bob.example\r\nmx: mx2.bob.example\r\nmax_age: 86400\r\n',
  )
  expect(domain.policyHost.gets).toMatchObject([
    {
      host: 'mta-sts.bob.example',
      method: 'GET',
      path: '/.well-known/mta-sts.txt',
      status: 200,
      headers: { host: 'mta-sts.bob.example' },
      resumed: false,
      tls: { version: 'TLSv1.3', servername: 'mta-sts.bob.example' },
    },
  ])
  expect(world.gets).toEqual(domain.policyHost.gets)
})

it('a changed policy is served at once; what was not named stays', async () => {
  const domain = fresh()
  domain.policy({ maxAge: 5, patterns: ['*.fleet.example'] })
  domain.policy({ mode: 'none' })
  expect((await get(world, domain.policyHost)).body.toString()).toBe(
    'version: STSv1\r\nmode: none\r\nmx: *.fleet.example\r\nmax_age: 5\r\n',
  )
  domain.policy({ body: 'anything' })
  expect((await get(world, domain.policyHost)).body.toString()).toBe('anything')
  domain.policy({ mode: 'testing' })
  expect((await get(world, domain.policyHost)).body.toString()).toContain('mode: testing')
})

it('a domain without a policy has a policy host without one', async () => {
  const domain = world.domain('none.example')
  expect((await get(world, domain.policyHost)).status).toBe(404)
})

it('other paths are not found, other hosts misdirected', async () => {
  const domain = fresh()
  expect((await get(world, domain.policyHost, '/')).status).toBe(404)
  const socket = await tlsTo(world, domain.policyHost)
  socket.write('GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: other.example\r\n\r\n')
  const [chunk] = await once(socket, 'data')
  expect(String(chunk)).toMatch(/^HTTP\/1.1 421 /)
  socket.destroy()
})

describe('faults of the connection', () => {
  it.each([
    ['down', 'ECONNREFUSED'],
    ['reset', 'ECONNRESET'],
    ['wrong-name', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['expired', 'CERT_HAS_EXPIRED'],
    ['self-signed', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ] as const)('%s: %s', async (fault, code) => {
    const domain = fresh()
    domain.policyHost.fails(fault)
    expect(await codeOf(get(world, domain.policyHost))).toBe(code)
    expect(domain.policyHost.gets).toEqual([])
    domain.policyHost.works()
    expect((await get(world, domain.policyHost)).status).toBe(200)
  })

  it('cn-only: Node is content with the common name, RFC 8461 is not', async () => {
    const domain = fresh()
    domain.policyHost.fails('cn-only')
    const socket = await tlsTo(world, domain.policyHost)
    const certificate = socket.getPeerCertificate()
    expect(certificate.subjectaltname).toBeUndefined()
    expect(certificate.subject.CN).toBe(domain.policyHost.name)
    expect(checkServerIdentity(domain.policyHost.name, certificate)).toBeUndefined()
    socket.destroy()
  })

  it('a certificate of one own making', async () => {
    const domain = fresh()
    domain.policyHost.certificate({ san: [`DNS:*.${domain.name}`] })
    const socket = await tlsTo(world, domain.policyHost)
    expect(socket.getPeerCertificate().subjectaltname).toBe(`DNS:*.${domain.name}`)
    socket.destroy()
    domain.policyHost.certificate()
    expect((await get(world, domain.policyHost)).status).toBe(200)
  })

  it('a policy host that nobody knows gets no certificate', async () => {
    const domain = fresh()
    const session = tlsTo(world, domain.policyHost, { servername: 'mta-sts.unknown.example' })
    expect(await codeOf(session)).toBe('ECONNRESET')
  })
})

describe('faults of the response', () => {
  it.each([
    ['404', 404],
    ['500', 500],
  ] as const)('%s', async (fault, status) => {
    const domain = fresh()
    domain.policyHost.fails(fault)
    expect((await get(world, domain.policyHost)).status).toBe(status)
  })

  it('redirect, to where the policy really is', async () => {
    const domain = fresh()
    domain.policyHost.fails('redirect')
    const { status, headers } = await get(world, domain.policyHost)
    expect(status).toBe(301)
    const { pathname, hostname } = new URL(String(headers.location))
    expect(hostname).toBe(domain.policyHost.name)
    expect((await get(world, domain.policyHost, pathname)).body.toString()).toBe(domain.policyFile)
  })

  it('html', async () => {
    const domain = fresh()
    domain.policyHost.fails('html')
    const { status, headers, body } = await get(world, domain.policyHost)
    expect([status, headers['content-type']]).toEqual([200, 'text/html'])
    expect(body.toString()).toMatch(/^<!doctype html>/)
  })

  it('oversize: valid, and of unknown length', async () => {
    const domain = fresh()
    domain.policyHost.fails('oversize')
    const { headers, body } = await get(world, domain.policyHost)
    expect(headers['content-length']).toBeUndefined()
    expect(body.length).toBeGreaterThan(65_536)
    expect(body.toString().startsWith(String(domain.policyFile))).toBe(true)
  })

  it('gzip, whatever was accepted', async () => {
    const domain = fresh()
    domain.policyHost.fails('gzip')
    const { headers, body } = await get(world, domain.policyHost)
    expect(headers['content-encoding']).toBe('gzip')
    expect(gunzipSync(body).toString()).toBe(domain.policyFile)
  })

  it('invalid-policy', async () => {
    const domain = fresh()
    domain.policyHost.fails('invalid-policy')
    expect((await get(world, domain.policyHost)).body.toString()).toContain('mode: strict')
  })

  it('drip: a byte at a time', async () => {
    const domain = fresh()
    domain.policyHost.fails('drip')
    const socket = await tlsTo(world, domain.policyHost)
    const host = domain.policyHost.name
    socket.write(`GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    let seen = ''
    for await (const chunk of socket) {
      seen += chunk
      if (seen.includes('\r\n1\r\ne\r\n')) break
    }
    expect(seen).toContain('1\r\nv\r\n1\r\ne\r\n')
    expect(socket.destroyed).toBe(true)
  })

  it('a response of one own making', async () => {
    const domain = fresh()
    domain.policyHost.fails({ headers: { 'content-type': 'Text/Plain; charset=utf-8' } })
    const { status, headers, body } = await get(world, domain.policyHost)
    expect([status, headers['content-type']]).toEqual([200, 'Text/Plain; charset=utf-8'])
    expect(body.toString()).toBe(domain.policyFile)
    domain.policyHost.fails({ status: 203, body: 'x' })
    expect(await get(world, domain.policyHost)).toMatchObject({ status: 203 })
  })
})

it('other ports of the host are closed', async () => {
  expect(await codeOf(once(dial(world, fresh().policyHost, 80), 'connect'))).toBe('ECONNREFUSED')
})
