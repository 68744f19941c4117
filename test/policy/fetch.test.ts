/** One GET of a policy: the request, the certificate, and every part of the response. */
import type { Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'
import { gzipSync } from 'node:zlib'
import { describe, expect, test, vi } from 'vitest'
import type { Resolver } from '../../src/dns/resolver.js'
import { MAX_POLICY_BYTES } from '../../src/policy/policy-file.js'
import type { CertificateSpec } from '../../src/testing/authority.js'
import { FAULTS, type NamedPolicyHostFault } from '../../src/testing/index.js'
import { trustedRoots } from '../../src/tls/options.js'
import { chain, issue, resolverOf, Wire, x509 } from '../tls/support.js'
import {
  type Answer,
  authority,
  chunked,
  failureOf,
  fetchError,
  fetchFrom,
  fetchOver,
  freshDomain,
  good,
  HEAD,
  HOST,
  PARSED,
  POLICY,
  policyHost,
  policyOf,
  response,
  said,
  servers,
  useFetching,
  webpki,
  world,
} from './fetching.js'

useFetching()

describe('the request', () => {
  test('[STS-10] is one GET of the well-known path, to port 443 of mta-sts. + domain', async () => {
    const domain = freshDomain()
    world.forget()
    const { result, sockets } = fetchFrom(domain.name)
    expect(await result).toEqual({
      kind: 'fetched',
      policy: { ...PARSED, mx: [`mx.${domain.name}`] },
      body: domain.policyFile,
    })
    const host = `mta-sts.${domain.name}`
    expect(world.dials).toMatchObject([
      { purpose: 'policy', host, address: domain.policyHost.ipv4, port: 443 },
    ])
    expect(world.gets).toMatchObject([
      { method: 'GET', path: '/.well-known/mta-sts.txt', tls: { servername: host }, status: 200 },
    ])
    expect(world.gets[0]?.headers).toMatchObject({ host, 'accept-encoding': 'identity' })
    expect([...new Set(world.queries.map(({ name }) => name))]).toEqual([host])
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true])
  })

  test('[STS-10] uses the A-labels of the domain', async () => {
    const domain = world.domain('müller.example', { mode: 'testing' })
    world.forget()
    expect(await fetchFrom(domain.name).result).toMatchObject({ kind: 'fetched' })
    expect(world.gets).toMatchObject([{ host: 'mta-sts.xn--mller-kva.example' }])
  })

  test('[STS-12] names the sender and the wanted type, and nothing else', async () => {
    const { port, heads } = await policyHost(response(POLICY))
    expect(await fetchOver(new Wire({ '192.0.2.1': port }))).toMatchObject({ kind: 'fetched' })
    const [requestLine, ...headers] = (heads[0] ?? '').trimEnd().split('\r\n')
    expect(requestLine).toBe('GET /.well-known/mta-sts.txt HTTP/1.1')
    const fields = new Map(
      headers.map((line) => {
        const [name = '', value = ''] = line.split(': ')
        return [name.toLowerCase(), value]
      }),
    )
    expect([...fields.keys()].sort()).toEqual([
      'accept',
      'accept-encoding',
      'connection',
      'host',
      'user-agent',
    ])
    expect(fields.get('host')).toBe(HOST)
    expect(fields.get('accept-encoding')).toBe('identity')
    expect(fields.get('connection')).toBe('close')
    expect(headers).toHaveLength(5)
  })

  test('[STS-12] of a second GET has no condition, no cookie, no cache, and a new connection', async () => {
    const headers = {
      'Content-Type': 'text/plain',
      'Set-Cookie': 'tracked=1; Secure; Path=/',
      ETag: '"1"',
      'Last-Modified': 'Mon, 01 Jan 2024 00:00:00 GMT',
      'Cache-Control': 'max-age=31536000, immutable',
      'Strict-Transport-Security': 'max-age=31536000',
      'Alt-Svc': 'h3=":8443"',
    }
    const { port, heads } = await policyHost(response(POLICY, headers))
    const wire = new Wire({ '192.0.2.1': port })
    expect(await fetchOver(wire)).toMatchObject({ kind: 'fetched' })
    expect(await fetchOver(wire)).toMatchObject({ kind: 'fetched' })
    expect(heads).toHaveLength(2)
    expect(heads[1]).toBe(heads[0])
    expect(wire.dials).toHaveLength(2)
    expect(wire.left).toEqual([])
  })

  test('resumes no TLS session, even if the server would', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const reused: boolean[] = []
      const answer: Answer = (socket) => {
        reused.push(socket.isSessionReused())
        socket.end(response(POLICY))
      }
      const { port } = await policyHost(answer, { minVersion: version, maxVersion: version })
      const wire = new Wire({ '192.0.2.1': port })
      expect(await fetchOver(wire)).toMatchObject({ kind: 'fetched' })
      expect(await fetchOver(wire)).toMatchObject({ kind: 'fetched' })
      expect(reused).toEqual([false, false])
    }
  })

  test('[STS-12] does not use a proxy of the environment', async () => {
    let connections = 0
    const proxy = await servers.tcp((socket) => {
      connections++
      socket.destroy()
    })
    for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY']) {
      vi.stubEnv(name, `http://127.0.0.1:${proxy}`)
      vi.stubEnv(name.toLowerCase(), `http://127.0.0.1:${proxy}`)
    }
    vi.stubEnv('NODE_USE_ENV_PROXY', '1')
    vi.stubEnv('NO_PROXY', '')
    const { port } = await policyHost(response(POLICY))
    const wire = new Wire({ '192.0.2.1': port })
    expect(await fetchOver(wire)).toMatchObject({ kind: 'fetched' })
    expect(wire.addresses).toEqual(['192.0.2.1'])
    expect(connections).toBe(0)
  })

  test('[STS-10] sends nothing in plain HTTP, and accepts no plain HTTP response', async () => {
    const received: Buffer[] = []
    const port = await servers.tcp((socket) => {
      socket.on('data', (chunk) => {
        received.push(chunk)
        socket.end(response(POLICY))
      })
    })
    const wire = new Wire({ '192.0.2.1': port })
    expect(said(await fetchOver(wire))).toEqual(fetchError('connection-failed'))
    const bytes = Buffer.concat(received)
    // A TLS record of the type handshake; the only name in it is that of SNI
    expect([bytes[0], bytes[1]]).toEqual([0x16, 0x03])
    expect(bytes.includes('GET')).toBe(false)
    expect(bytes.includes('well-known')).toBe(false)
    expect(wire.dials).toMatchObject([{ port: 443 }])
  })
})

describe('a faulty policy host', () => {
  const expected: Record<NamedPolicyHostFault, { resultType: string; reason: string | undefined }> =
    {
      down: fetchError('connection-failed'),
      reset: fetchError('connection-failed'),
      '404': fetchError('http-status-404'),
      '500': fetchError('http-status-500'),
      redirect: fetchError('http-status-301'),
      html: fetchError('media-type'),
      oversize: fetchError('too-large'),
      drip: fetchError('timeout'),
      gzip: fetchError('content-encoding'),
      'invalid-policy': { resultType: 'sts-policy-invalid', reason: undefined },
      'wrong-name': webpki('certificate-host-mismatch'),
      'cn-only': webpki('certificate-host-mismatch'),
      expired: webpki('certificate-expired'),
      'self-signed': webpki('self-signed'),
    }

  test.each(FAULTS.policyHost)(
    '[STS-12] is refused: $name ($plays)',
    async ({ name, resultType }) => {
      const domain = freshDomain()
      domain.policyHost.fails(name)
      world.forget()
      const { result, sockets } = fetchFrom(
        domain.name,
        name === 'drip' ? { fetchTimeout: 300 } : {},
      )
      const fetched = await result
      expect(said(fetched)).toEqual(expected[name])
      expect(failureOf(fetched).resultType).toBe(resultType)
      expect(failureOf(fetched).cause).toBeInstanceOf(Error)
      // No second attempt, and no open socket
      expect(world.dials).toHaveLength(1)
      expect(world.gets.length).toBeLessThanOrEqual(1)
      expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true])
    },
  )

  test('can be fetched from when the fault is over', async () => {
    const domain = freshDomain()
    domain.policyHost.fails('500')
    expect(said(await fetchFrom(domain.name).result)).toEqual(fetchError('http-status-500'))
    domain.policyHost.works()
    expect(await fetchFrom(domain.name).result).toMatchObject({ kind: 'fetched' })
  })
})

describe('the certificate', () => {
  const host = '{host}'

  test.each<[name: string, spec: CertificateSpec, reason: string]>([
    ['another name', { san: ['DNS:other.example'] }, 'certificate-host-mismatch'],
    ['the Policy Domain only', { san: ['DNS:{domain}'] }, 'certificate-host-mismatch'],
    ['a common name', { cn: host, san: ['DNS:other.example'] }, 'certificate-host-mismatch'],
    ['a common name only', { cn: host }, 'certificate-host-mismatch'],
    ['a partial wildcard', { san: ['DNS:mta-*.{domain}'] }, 'certificate-host-mismatch'],
    ['a wildcard too high up', { san: ['DNS:*.example'] }, 'certificate-host-mismatch'],
    ['an address', { cn: host, san: ['IP:192.0.2.1'] }, 'certificate-host-mismatch'],
    ['its day is over', { san: [`DNS:${host}`], validity: 'past' }, 'certificate-expired'],
    [
      'its day is to come',
      { san: [`DNS:${host}`], validity: 'future' },
      'certificate-not-yet-valid',
    ],
    ['signed by itself', { san: [`DNS:${host}`], cn: 'x', signedBy: 'itself' }, 'self-signed'],
    ['signed by a stranger', { san: [`DNS:${host}`], signedBy: 'stranger' }, 'unknown-authority'],
    ['no intermediate', { san: [`DNS:${host}`], chain: false }, 'incomplete-chain'],
    ['the chain first, then the name', { cn: 'x', signedBy: 'itself' }, 'self-signed'],
  ])('[STS-11] is refused: %s', async (_, template, reason) => {
    const domain = freshDomain()
    const text = JSON.stringify(template)
      .replaceAll(host, domain.policyHost.name)
      .replaceAll('{domain}', domain.name)
    domain.policyHost.certificate(JSON.parse(text))
    world.forget()
    const { result, sockets } = fetchFrom(domain.name)
    expect(said(await result)).toEqual(webpki(reason))
    expect(world.gets).toEqual([])
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true])
  })

  test('[STS-11] is accepted as a wildcard for the Policy Domain', async () => {
    const domain = freshDomain()
    domain.policyHost.certificate({ san: [`DNS:*.${domain.name}`] })
    expect(await fetchFrom(domain.name).result).toMatchObject({ kind: 'fetched' })
  })

  test('[STS-11] is refused when its authority is not among the roots', async () => {
    const domain = freshDomain()
    const result = await fetchFrom(domain.name, { roots: trustedRoots(authority.root) }).result
    expect(failureOf(result).resultType).toBe('sts-webpki-invalid')
  })

  test('[STS-11] is refused under NODE_TLS_REJECT_UNAUTHORIZED=0 as well', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    // Node warns of it once in a process
    using warned = vi.spyOn(process, 'emitWarning').mockReturnValue(undefined)
    const domain = freshDomain()
    domain.policyHost.fails('self-signed')
    expect(said(await fetchFrom(domain.name).result)).toEqual(webpki('self-signed'))
    expect(warned).toHaveBeenCalledWith(expect.stringContaining('NODE_TLS_REJECT_UNAUTHORIZED'))
  })

  test('[STS-11] is refused for an OpenSSL error that Node has no name for', async () => {
    const root = await issue({ subject: 'CN=Root', authority: {} })
    const extension = new x509.Extension('1.3.6.1.4.1.55555.1', true, new Uint8Array([5, 0]))
    const leaf = await issue({ issuer: root, san: [HOST], extensions: [extension] })
    const { port, heads } = await policyHost(response(POLICY), chain(leaf))
    const wire = new Wire({ '192.0.2.1': port })
    const fetched = await fetchOver(wire, { roots: trustedRoots(root.pem) })
    expect(failureOf(fetched).resultType).toBe('sts-webpki-invalid')
    expect(heads).toEqual([])
  })

  test('is accepted over TLS 1.2, not over TLS 1.1', async () => {
    const tls12 = await policyHost(response(POLICY), { maxVersion: 'TLSv1.2' })
    const wire = new Wire({ '192.0.2.1': tls12.port })
    expect(await fetchOver(wire)).toMatchObject({ kind: 'fetched' })
    expect(tls12.sockets.map((socket) => socket.getProtocol())).toEqual(['TLSv1.2'])

    const tls11 = await policyHost(response(POLICY), {
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    })
    const fetched = await fetchOver(new Wire({ '192.0.2.1': tls11.port }))
    expect(failureOf(fetched).resultType).toBe('sts-policy-fetch-error')
    expect(tls11.heads).toEqual([])
  })
})

describe('the status', () => {
  test.each([
    '201 Created',
    '203 Non-Authoritative Information',
    '204 No Content',
    '206 Partial Content',
    '226 IM Used',
    '300 Multiple Choices',
    '301 Moved Permanently',
    '302 Found',
    '303 See Other',
    '304 Not Modified',
    '307 Temporary Redirect',
    '308 Permanent Redirect',
    '400 Bad Request',
    '401 Unauthorized',
    '404 Not Found',
    '410 Gone',
    '421 Misdirected Request',
    '429 Too Many Requests',
    '503 Service Unavailable',
    '999 Whatever',
  ])('[STS-12] %s is refused whatever the body: only 200 is accepted', async (status) => {
    const headers = {
      'Content-Type': 'text/plain',
      Location: `https://${HOST}/.well-known/mta-sts.txt`,
      'Retry-After': '0',
    }
    const { port, heads } = await policyHost(response(POLICY, headers, status))
    const wire = new Wire({ '192.0.2.1': port })
    const code = status.slice(0, 3)
    expect(said(await fetchOver(wire))).toEqual(fetchError(`http-status-${code}`))
    expect(heads).toHaveLength(1)
    expect(wire.dials).toHaveLength(1)
  })

  test.each([
    'https://elsewhere.example/policy.txt',
    `http://${HOST}/.well-known/mta-sts.txt`,
    `https://${HOST}/elsewhere.txt`,
    '/elsewhere.txt',
    '//elsewhere.example/',
  ])('[STS-12] a redirect is not followed: to %s', async (location) => {
    const headers = { 'Content-Type': 'text/plain', Location: location }
    const { port, heads } = await policyHost(response(POLICY, headers, '302 Found'))
    const wire = new Wire({ '192.0.2.1': port })
    expect(said(await fetchOver(wire))).toEqual(fetchError('http-status-302'))
    expect([heads.length, wire.dials.length]).toEqual([1, 1])
  })

  test('[STS-57] fails when informational responses never end, with or without a body behind', async () => {
    const flood = 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(500)
    const hints = `HTTP/1.1 103 Early Hints\r\nLink: <${'x'.repeat(8000)}>\r\n\r\n`.repeat(500)
    for (const interim of [flood, hints]) {
      let written = 0
      const { port } = await policyHost((socket) => {
        const more = (error?: Error | null) => {
          written += interim.length
          if (!error && written < 100_000_000) socket.write(interim, more)
        }
        more()
      })
      const wire = new Wire({ '192.0.2.1': port })
      expect(said(await fetchOver(wire))).toEqual(fetchError('too-large'))
      expect(written).toBeLessThan(50_000_000)
      expect(wire.left).toEqual([])
    }
  })

  test('[STS-57] fails when a policy comes in one packet with too many informational responses', async () => {
    const interim = 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(17)
    const { port } = await policyHost(Buffer.concat([Buffer.from(interim), response(POLICY)]))
    const fetched = await fetchOver(new Wire({ '192.0.2.1': port }))
    expect(said(fetched)).toEqual(fetchError('too-large'))
  })

  test('[STS-57] reads a policy after a few informational responses', async () => {
    const interim = 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(10)
    const { port } = await policyHost(Buffer.concat([Buffer.from(interim), response(POLICY)]))
    expect(await fetchOver(new Wire({ '192.0.2.1': port }))).toMatchObject({ kind: 'fetched' })
  })

  test('an informational response is not used as the answer', async () => {
    const interim = 'HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n'
    const { port } = await policyHost(Buffer.concat([Buffer.from(interim), response(POLICY)]))
    expect(await fetchOver(new Wire({ '192.0.2.1': port }))).toMatchObject({ kind: 'fetched' })
  })

  test.each([
    'SSH-2.0-OpenSSH_9.6\r\n',
    '220 mx.example.com ESMTP\r\n',
    'HTTP/1.1 200 OK\r\nContent Type: text/plain\r\n\r\n',
    `${HEAD}Content-Length: 10\r\nContent-Length: 200\r\n\r\n${POLICY}`,
    `HTTP/1.1 200 OK\r\n${`X-Filler: ${'x'.repeat(1000)}\r\n`.repeat(100)}\r\n${POLICY}`,
    '',
  ])('anything but HTTP is refused: %#', async (bytes) => {
    const { port } = await policyHost(bytes)
    const wire = new Wire({ '192.0.2.1': port })
    expect(said(await fetchOver(wire))).toEqual(fetchError('connection-failed'))
    expect(wire.left).toEqual([])
  })

  test('[STS-14] a switch to another protocol is refused', {
    timeout: 5000,
  }, async () => {
    const upgrade = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'
    const { port } = await policyHost(`${upgrade}${POLICY}`)
    const wire = new Wire({ '192.0.2.1': port })
    const fetched = await fetchOver(wire, { fetchTimeout: 1000 })
    expect(failureOf(fetched).resultType).toBe('sts-policy-fetch-error')
    expect(wire.left).toEqual([])
  })
})

describe('the media type', () => {
  test.each([
    'text/plain',
    'TEXT/PLAIN',
    'Text/Plain; Charset=UTF-8',
    'text/plain; charset=utf-8',
    'text/plain;charset=iso-8859-1',
    'text/plain ; format=flowed',
    'text/plain;',
  ])('[STS-13] %s is accepted', async (contentType) => {
    const domain = freshDomain()
    domain.policyHost.fails({ headers: { 'content-type': contentType } })
    expect(await fetchFrom(domain.name).result).toMatchObject({ kind: 'fetched' })
  })

  test.each([
    'text/html',
    'text/plainx',
    'text/plain-policy',
    'xtext/plain',
    'text',
    'application/octet-stream',
    'application/json; note=text/plain',
    'text/html; text/plain',
    'text/html, text/plain',
    'text/plain, text/html',
    '',
    ';text/plain',
  ])('[STS-13] %j is refused', async (contentType) => {
    const domain = freshDomain()
    domain.policyHost.fails({ headers: { 'content-type': contentType } })
    expect(said(await fetchFrom(domain.name).result)).toEqual(fetchError('media-type'))
  })

  test('[STS-13] is required', async () => {
    const domain = freshDomain()
    domain.policyHost.fails({ headers: {} })
    expect(said(await fetchFrom(domain.name).result)).toEqual(fetchError('media-type'))
  })
})

describe('the content and transfer coding', () => {
  test.each(['gzip', 'x-gzip', 'br', 'deflate', 'zstd', 'GZIP', 'identity, gzip', 'unknown'])(
    '%s is refused, because it was not requested',
    async (encoding) => {
      const headers = { 'content-type': 'text/plain', 'content-encoding': encoding }
      for (const body of [gzipSync(POLICY), POLICY]) {
        const domain = freshDomain()
        domain.policyHost.fails({ headers, body })
        expect(said(await fetchFrom(domain.name).result)).toEqual(fetchError('content-encoding'))
      }
    },
  )

  test.each(['identity', 'Identity', '', ' ', ',', ', ,', 'identity, identity', ',identity ,'])(
    'accepts Content-Encoding %j: no coding',
    async (encoding) => {
      const headers = { 'Content-Type': 'text/plain', 'Content-Encoding': encoding }
      const { port } = await policyHost(response(POLICY, headers))
      expect(await fetchOver(new Wire({ '192.0.2.1': port }))).toMatchObject({ kind: 'fetched' })
    },
  )

  test.each([
    'identity',
    'gzip',
    'x',
    'chunked, chunked',
    'gzip, chunked',
    'chunked, identity',
    'identity, chunked',
    'chunked;q=1',
  ])('[STS-15] refuses a body of Transfer-Encoding %j, whole or cut', async (transfer) => {
    const head = `${HEAD}Transfer-Encoding: ${transfer}\r\nConnection: close\r\n\r\n`
    const cut = POLICY.slice(0, POLICY.indexOf('604800') + 1)
    for (const body of [
      POLICY,
      cut,
      chunked([POLICY]).split('\r\n\r\n').slice(1).join('\r\n\r\n'),
    ]) {
      const { port } = await policyHost(`${head}${body}`)
      const refused = said(await fetchOver(new Wire({ '192.0.2.1': port })))
      expect(refused).toEqual(fetchError('transfer-encoding'))
    }
  })

  test('[STS-15] refuses a body with two transfer codings in two headers', async () => {
    const twice = 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'
    const { port } = await policyHost(`${HEAD}${twice}\r\n${POLICY}`)
    const refused = said(await fetchOver(new Wire({ '192.0.2.1': port })))
    expect(refused).toEqual(fetchError('transfer-encoding'))
  })

  test.each(['chunked', 'Chunked', 'CHUNKED'])('accepts Transfer-Encoding: %s', async (name) => {
    const { port } = await policyHost(chunked([POLICY]).replace('chunked', name))
    expect(await fetchOver(new Wire({ '192.0.2.1': port }))).toMatchObject({ kind: 'fetched' })
  })

  test('refuses bytes that are not UTF-8, with and without a charset', async () => {
    const { port } = await policyHost(response(gzipSync(POLICY)))
    expect(said(await fetchOver(new Wire({ '192.0.2.1': port })))).toEqual({
      resultType: 'sts-policy-invalid',
      reason: undefined,
    })
  })
})

describe('the body', () => {
  const fetchAnswer = async (answer: Answer) => {
    const { port } = await policyHost(answer)
    return fetchOver(new Wire({ '192.0.2.1': port }))
  }

  test('is returned unchanged with the parsed policy', async () => {
    const body = `version: STSv1\nmode: testing\nx_note: Grüße\nmx: *.bob.example\nmax_age: 1`
    expect(await fetchAnswer(response(body))).toEqual({
      kind: 'fetched',
      policy: {
        version: 'STSv1',
        mode: 'testing',
        mx: ['*.bob.example'],
        maxAge: 1,
        extensions: [{ name: 'x_note', value: 'Grüße' }],
      },
      body,
    })
  })

  test('is read in chunks of one byte', async () => {
    const expected = { kind: 'fetched', policy: PARSED, body: POLICY }
    expect(await fetchAnswer(chunked([...POLICY]))).toEqual(expected)
  })

  describe('[STS-15] with the limit of 64 KiB', () => {
    const exactly = policyOf(MAX_POLICY_BYTES)
    const more = policyOf(MAX_POLICY_BYTES + 1)
    const inChunks = (body: string) => chunked(body.match(/[\s\S]{1,8000}/g) ?? [])

    test('has a limit of 65536 bytes', () => {
      expect([exactly.length, more.length]).toEqual([65_536, 65_537])
    })

    test.each<[name: string, answer: (body: string) => string | Buffer]>([
      ['with a length', (body) => response(body)],
      ['in chunks', inChunks],
      ['in one chunk', (body) => chunked([body])],
    ])('is accepted at the limit and refused one byte above it: %s', async (_, answer) => {
      const fetched = await fetchAnswer(answer(exactly))
      expect(fetched).toMatchObject({ kind: 'fetched', policy: PARSED })
      expect(fetched.kind === 'fetched' && fetched.body.length).toBe(MAX_POLICY_BYTES)
      expect(said(await fetchAnswer(answer(more)))).toEqual(fetchError('too-large'))
    })

    test('is refused one byte above it without a length, too', async () => {
      const fetched = await fetchAnswer(`${HEAD}Connection: close\r\n\r\n${more}`)
      expect(fetched.kind).toBe('failed')
    })

    test('is refused by a length above the limit before the body', async () => {
      const answer: Answer = (socket) => {
        socket.write(`${HEAD}Content-Length: ${MAX_POLICY_BYTES + 1}\r\n\r\n`)
      }
      expect(said(await fetchAnswer(answer))).toEqual(fetchError('too-large'))
    })

    test('is refused without waiting for the end of an endless body', async () => {
      const block = 'x'.repeat(16_000)
      let written = 0
      const answer: Answer = (socket) => {
        socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`)
        const more = (error?: Error | null) => {
          written += block.length
          if (!error) socket.write(`3e80\r\n${block}\r\n`, more)
        }
        more()
      }
      expect(said(await fetchAnswer(answer))).toEqual(fetchError('too-large'))
      expect(written).toBeGreaterThan(MAX_POLICY_BYTES)
    })

    test('is counted in bytes, not characters', async () => {
      const start = `${POLICY}x_padding: `
      const body = `${start}${'ä'.repeat((MAX_POLICY_BYTES - start.length) / 2 + 1)}`
      expect(body.length).toBeLessThan(MAX_POLICY_BYTES)
      expect(said(await fetchAnswer(chunked([body])))).toEqual(fetchError('too-large'))
    })
  })

  describe('that breaks off, even with a complete policy', () => {
    const length = `Content-Length: ${POLICY.length + 1}\r\n\r\n`

    test.each<[name: string, bytes: string]>([
      ['with a length', `${HEAD}${length}${POLICY}`],
      ['in chunks, the last missing', chunked([POLICY], '')],
      ['in the middle of a chunk', chunked([POLICY], 'ff\r\nx_more: ')],
      ['before the body', `${HEAD}${length}`],
      ['in the head', HEAD],
    ])('is refused: %s', async (_, bytes) => {
      for (const answer of [
        bytes,
        (socket: TLSSocket) => socket.write(bytes, () => socket.destroy()),
      ]) {
        const { resultType, reason } = said(await fetchAnswer(answer as Answer))
        expect(resultType).toBe('sts-policy-fetch-error')
        expect(['truncated', 'connection-failed']).toContain(reason)
      }
    })

    // RFC 9112 §9.8: without a length, the end counts only if TLS confirms it. Anybody on the
    // network can end the TCP connection, and so truncate a policy: its max_age, its last mx
    test.each<[name: string, end: (socket: Socket) => void]>([
      ['FIN', (socket) => socket.end()],
      ['RST', (socket) => socket.resetAndDestroy()],
    ])('is refused without a length, at an end outside TLS: %s', async (_, end) => {
      const cut = POLICY.replace('604800\r\n', '6')
      const secureContext = createSecureContext(good)
      const port = await servers.tcp((socket) => {
        const secured = new TLSSocket(socket, { isServer: true, secureContext })
        secured.on('error', () => {})
        secured.once('data', () => {
          secured.write(`${HEAD}Connection: close\r\n\r\n${cut}`, () => {
            whenRead(socket, () => end(socket))
          })
        })
      })
      const wire = new Wire({ '192.0.2.1': port })
      const whenRead = (socket: Socket, done: () => void) => {
        const [client] = wire.sockets
        if (client && client.bytesRead >= socket.bytesWritten) done()
        else setImmediate(whenRead, socket, done)
      }
      const fetched = await fetchOver(wire)
      expect(fetched.kind === 'fetched' ? fetched.policy.maxAge : 'not fetched').toBe('not fetched')
    })
  })

  test('that does not parse is refused with its line', async () => {
    const fetched = await fetchAnswer(response('version: STSv1\nmode: enforced\nmax_age: 1\n'))
    expect(failureOf(fetched)).toMatchObject({
      resultType: 'sts-policy-invalid',
      cause: { code: 'EPOLICYSYNTAX', line: 2 },
    })
  })

  test('that is empty is refused', async () => {
    expect(said(await fetchAnswer(response(''))).resultType).toBe('sts-policy-invalid')
  })
})

describe('[STS-15] bytes that are no part of the body', () => {
  /** Writes the same bytes as fast as they are read. */
  const flood =
    (first: string, then: string): Answer =>
    (socket) => {
      socket.write(first)
      const more = () => {
        while (socket.writable && socket.write(then));
      }
      socket.on('drain', more)
      more()
    }
  const chunks = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`

  test.each<[name: string, answer: Answer]>([
    ['the digits of a chunk size', flood(chunks, '0'.repeat(65_536))],
    ['extensions of small chunks', flood(chunks, `1;x=${'y'.repeat(15_000)}\r\na\r\n`)],
  ])('end the fetch long before its deadline if they are endless: %s', async (_, answer) => {
    const { port } = await policyHost(answer)
    const wire = new Wire({ '192.0.2.1': port })
    const fetched = await fetchOver(wire, { fetchTimeout: 3_600_000 })
    expect(said(fetched)).toEqual(fetchError('too-large'))
    expect(wire.left).toEqual([])
  })
})

describe('never rejects', () => {
  test('for a connect hook that throws or rejects', async () => {
    const error = new Error('no way')
    const thrown = await fetchOver({
      connect: () => {
        throw error
      },
    })
    const rejected = await fetchOver({ connect: () => Promise.reject(error) })
    for (const fetched of [thrown, rejected]) {
      expect(said(fetched)).toEqual(fetchError('connection-failed'))
    }
  })

  test('for a resolver of another kind', async () => {
    const resolver: Resolver = {
      ...resolverOf({}),
      resolve4: () => {
        throw new Error('no way')
      },
      resolve6: () => Promise.resolve(undefined as unknown as string[]),
    }
    expect(said(await fetchOver(new Wire({}), { resolver }))).toEqual(fetchError('dns-failure'))
  })
})
