import { createSecureContext, TLSSocket } from 'node:tls'
import { describe, expect, test, vi } from 'vitest'
import { ConnectError } from '../../src/net/connect.js'
import { openSmtp } from '../../src/smtp/open.js'
import { TlsFailureError } from '../../src/tls/failures.js'
import {
  AUTHENTICATED,
  ENCRYPTED,
  ENVELOPE,
  OPPORTUNISTIC,
  open,
  openingTo,
  type Peer,
  rejection,
  ScriptedMx,
  smtpRejection,
  TESTING,
  takeMessages,
  untilSecured,
} from './support.js'

/** Greets, offers STARTTLS and reads it. */
async function upToStartTls(peer: Peer, keyword = 'STARTTLS'): Promise<void> {
  peer.say('220 mx.example ESMTP')
  await peer.hear()
  peer.say('250-mx.example', `250 ${keyword}`)
  await peer.hear()
}

/** Greets and takes messages in plaintext. */
async function plain(peer: Peer, ...offers: string[]): Promise<void> {
  peer.say('220 mx.example ESMTP')
  await peer.hear()
  peer.say('250-mx.example', ...offers.map((offer) => `250-${offer}`), '250 HELP')
  await takeMessages(peer)
}

type Bad = (peer: Peer, mx: ScriptedMx) => Promise<void>

/** A server's half of a handshake that demands a certificate of the client. */
function demandCertificate(maxVersion: 'TLSv1.2' | 'TLSv1.3'): Bad {
  return async (peer, mx) => {
    await upToStartTls(peer)
    peer.say('220 go')
    const secureContext = createSecureContext({ ...mx.credentials, maxVersion })
    const options = { isServer: true, secureContext, requestCert: true, rejectUnauthorized: true }
    new TLSSocket(peer.socket, options).on('error', () => peer.socket.destroy())
  }
}

/** All failures of STARTTLS before there is a certificate to judge. */
const BROKEN: Array<[string, Bad, { resultType: string; reason: string }]> = [
  ...['454 4.7.0 not now', '502 what', '530 no', '554 5.7.1 no', '421 bye', '250 fine'].map(
    (answer): [string, Bad, { resultType: string; reason: string }] => [
      `STARTTLS is answered with ${answer}`,
      async (peer) => {
        await upToStartTls(peer)
        peer.say(answer)
      },
      { resultType: 'starttls-not-supported', reason: 'refused' },
    ],
  ),
  [
    'STARTTLS is answered by the end of the connection',
    async (peer) => {
      await upToStartTls(peer)
      peer.socket.end()
    },
    { resultType: 'starttls-not-supported', reason: 'no-answer' },
  ],
  [
    'STARTTLS is answered with what is no reply',
    async (peer) => {
      await upToStartTls(peer)
      peer.say('hello')
    },
    { resultType: 'starttls-not-supported', reason: 'no-answer' },
  ],
  ...['250 ok\r\n', '250-x REQUIRETLS ', '\n', 'x', '250-a\r\n250 b\r\n', 'no reply\r\n'].map(
    (early): [string, Bad, { resultType: string; reason: string }] => [
      `[SMTP-2] ${JSON.stringify(early)} stands behind the reply to STARTTLS`,
      async (peer) => {
        await upToStartTls(peer)
        peer.socket.write(`220 go\r\n${early}`)
      },
      { resultType: 'starttls-not-supported', reason: 'early-data' },
    ],
  ),
  [
    'plaintext follows the 220',
    async (peer) => {
      await upToStartTls(peer)
      peer.say('220 go')
      // The ClientHello has come: the next bytes replace the ServerHello
      while (peer.pending === '') await new Promise((resolve) => setImmediate(resolve))
      peer.say('250-mx.example', '250 REQUIRETLS')
    },
    { resultType: 'validation-failure', reason: 'handshake-failed' },
  ],
  [
    'the connection ends behind the 220',
    async (peer) => {
      await upToStartTls(peer)
      peer.say('220 go')
      peer.socket.end()
    },
    { resultType: 'validation-failure', reason: 'handshake-failed' },
  ],
  [
    'the connection ends right after the handshake',
    async (peer) => {
      await upToStartTls(peer)
      peer.say('220 go')
      ;(await peer.secure()).end()
    },
    { resultType: 'validation-failure', reason: 'handshake-failed' },
  ],
  [
    'the host demands a client certificate, with TLS 1.3',
    demandCertificate('TLSv1.3'),
    { resultType: 'validation-failure', reason: 'handshake-failed' },
  ],
  [
    'the host demands a client certificate, with TLS 1.2',
    demandCertificate('TLSv1.2'),
    { resultType: 'validation-failure', reason: 'handshake-failed' },
  ],
]

/** The first connection fails, the second accepts mail in plaintext. */
function firstGoesWrong(bad: Bad): Promise<ScriptedMx> {
  const opened = ScriptedMx.open(async (peer) => {
    const mx = await opened
    if (mx.peers[0] === peer) await bad(peer, mx)
    else await plain(peer, 'STARTTLS')
  })
  return opened
}

describe.each(BROKEN)('a host with %s', (_, bad, expected) => {
  test('is refused if it must be authenticated, and gets nothing of a message', async () => {
    await using mx = await firstGoesWrong(bad)
    const { target, settings, seen } = openingTo(mx, { security: AUTHENTICATED })
    const error = await rejection(openSmtp(target, settings))
    expect(error).toBeInstanceOf(TlsFailureError)
    const where = { mxHost: mx.host, address: '192.0.2.1' }
    expect(error).toMatchObject({ permanent: false, failure: { ...expected, ...where } })
    expect(seen.sessions).toMatchObject([
      { helo: 'mx.example', failure: { ...expected, ...where } },
    ])
    expect(mx.peers).toHaveLength(1)
    expect(mx.peers[0]?.heard).toEqual(['EHLO sender.example', 'STARTTLS'])
    expect(seen.sockets.every(({ destroyed }) => destroyed)).toBe(true)
  })

  test('is refused if TLS is required', async () => {
    await using mx = await firstGoesWrong(bad)
    const { target, settings } = openingTo(mx, { security: ENCRYPTED })
    const error = await rejection(openSmtp(target, settings))
    expect(error).toMatchObject({ code: 'ETLSFAILURE', failure: expected })
    expect(mx.peers).toHaveLength(1)
  })

  test('is delivered to over one plaintext connection in mode testing, with one failure', async () => {
    await using mx = await firstGoesWrong(bad)
    const connection = await open(mx, { security: TESTING })
    expect(connection).toMatchObject({ tls: false, proved: [], failures: [expected] })
    expect(connection.seen.sessions).toMatchObject([{ failure: expected }])
    expect(connection.seen.dials).toHaveLength(2)
    await connection.send(ENVELOPE, 'text')
    expect(mx.peers[1]?.heard.slice(0, 2)).toEqual([
      'EHLO sender.example',
      'MAIL FROM:<ann@sender.example>',
    ])
    connection.close()
  })
})

describe('the STARTTLS keyword', () => {
  const expected = { resultType: 'starttls-not-supported', reason: 'not-offered' }

  test.each([AUTHENTICATED, ENCRYPTED])('refuses the host without it: %j', async (security) => {
    await using mx = await ScriptedMx.open(plain)
    const { target, settings, seen } = openingTo(mx, { security })
    const error = await rejection(openSmtp(target, settings))
    expect(error).toMatchObject({ failure: { ...expected, address: '192.0.2.1' } })
    expect(seen.sessions).toMatchObject([{ failure: expected }])
    expect(seen.sockets.every(({ destroyed }) => destroyed)).toBe(true)
  })

  test.each([OPPORTUNISTIC, TESTING])('leads to plaintext without it: %j', async (security) => {
    await using mx = await ScriptedMx.open(plain)
    const connection = await open(mx, { security })
    expect(connection).toMatchObject({ tls: false, failures: [expected] })
    expect(connection.seen.dials).toHaveLength(1)
    connection.close()
  })

  test('is recognized in any case, with parameters and in any line', async () => {
    for (const keyword of ['starttls', 'StartTLS', 'STARTTLS REQUIRED']) {
      await using mx = await ScriptedMx.open(async (peer) => {
        await upToStartTls(peer, keyword)
        peer.say('220 go')
        await peer.secure()
        await peer.hear()
        peer.say('250 mx.example')
      })
      const connection = await open(mx)
      expect([keyword, connection.proved]).toEqual([keyword, ['sts']])
      connection.close()
    }
  })

  test('is not recognized in a keyword that only begins alike', async () => {
    await using mx = await ScriptedMx.open((peer) =>
      plain(peer, 'STARTTLSX', 'X-STARTTLS', 'STARTTL'),
    )
    const connection = await open(mx, { security: OPPORTUNISTIC })
    expect(connection.tls).toBe(false)
    connection.close()
  })

  test('is still required from a proxy that uses TLS', async () => {
    await using mx = await ScriptedMx.open(async (peer) => {
      await peer.secure()
      await plain(peer)
    })
    const { tls } = openingTo(mx).target
    const connect = () => mx.dialTls(tls)
    const { target, settings } = openingTo(mx, { security: ENCRYPTED, settings: { connect } })
    expect(await rejection(openSmtp(target, settings))).toMatchObject({ failure: expected })
    const connection = await open(mx, { security: OPPORTUNISTIC, settings: { connect } })
    expect(connection.tls).toBe(false)
    connection.close()
  })

  test('works through a proxy that uses TLS', async () => {
    await using mx = await ScriptedMx.open(async (peer) => {
      await peer.secure()
      await untilSecured(peer)
      await takeMessages(peer)
    })
    const { tls } = openingTo(mx).target
    const connection = await open(mx, { settings: { connect: () => mx.dialTls(tls) } })
    expect(connection.proved).toEqual(['sts'])
    expect(await connection.send(ENVELOPE, 'text')).toMatchObject({ response: '250 Taken' })
    connection.close()
  })
})

describe('the certificate', () => {
  const stranger = async (peer: Peer) => {
    await untilSecured(peer)
    await takeMessages(peer)
  }
  const elsewhere = { mxHost: 'mx.other.example' }

  test('of another host refuses a host that must be authenticated', async () => {
    await using mx = await ScriptedMx.open(stranger)
    const { target, settings, seen } = openingTo(mx, { host: 'mx.other.example' })
    const error = await rejection(openSmtp(target, settings))
    const expected = { resultType: 'certificate-host-mismatch', ...elsewhere }
    expect(error).toMatchObject({ code: 'ETLSFAILURE', failure: expected })
    expect(seen.sessions).toMatchObject([{ failure: expected }])
    expect(mx.peers[0]?.heard).toEqual(['EHLO sender.example', 'STARTTLS'])
  })

  test('of another host is tolerated and reported in mode testing', async () => {
    await using mx = await ScriptedMx.open(stranger)
    const connection = await open(mx, { security: TESTING, host: 'mx.other.example' })
    const expected = { resultType: 'certificate-host-mismatch', ...elsewhere }
    expect(connection.tls).not.toBe(false)
    expect(connection.failures).toMatchObject([expected])
    expect(connection.seen.sessions).toMatchObject([{ failure: expected }])
    expect(connection.seen.dials).toHaveLength(1)
    connection.close()
  })

  test('is not judged where no proof is demanded', async () => {
    await using mx = await ScriptedMx.open(stranger)
    for (const security of [OPPORTUNISTIC, ENCRYPTED]) {
      const connection = await open(mx, { security, host: 'mx.other.example' })
      expect(connection.failures).toEqual([])
      expect(connection.tls).not.toBe(false)
      connection.close()
    }
  })

  test('is valid: the known failure of the host is still that of the session', async () => {
    await using mx = await ScriptedMx.open(stranger)
    const failure = { resultType: 'validation-failure', reason: 'mx-mismatch' } as const
    const connection = await open(mx, { security: TESTING, target: { failure } })
    expect(connection.seen.sessions).toMatchObject([{ failure }])
    expect(connection.failures).toEqual([])
    connection.close()
  })
})

describe('[SMTP-2] data received before TLS', () => {
  test('is dropped: extensions are those of the EHLO inside TLS', async () => {
    await using mx = await ScriptedMx.open(async (peer) => {
      await untilSecured(peer, { before: ['PIPELINING', 'SIZE 1', 'REQUIRETLS'], after: ['DSN'] })
    })
    const connection = await open(mx)
    expect([...connection.extensions]).toEqual([
      ['DSN', ''],
      ['8BITMIME', ''],
    ])
    connection.close()
  })

  test.each([
    ['before STARTTLS', ['250-mx.example', '250 STARTTLS', '220 go']],
    ['without STARTTLS', ['250-mx.example', '250 SIZE', '250 ok']],
    ['a fragment without STARTTLS', ['250-mx.example', '250 SIZE', '250-o']],
  ])('breaks the protocol behind the reply to EHLO: %s', async (_, lines) => {
    await using mx = await ScriptedMx.open(async (peer) => {
      peer.say('220 mx.example')
      await peer.hear()
      peer.socket.write(lines.join('\r\n') + (lines.at(-1) === '250-o' ? '' : '\r\n'))
    })
    for (const security of [AUTHENTICATED, OPPORTUNISTIC]) {
      const { target, settings, seen } = openingTo(mx, { security })
      const error = await rejection(openSmtp(target, settings))
      expect(error).toMatchObject({ permanent: false })
      expect(seen.sockets.every(({ destroyed }) => destroyed)).toBe(true)
      expect(mx.peers.flatMap(({ heard }) => heard)).not.toContain('STARTTLS')
    }
  })

  test('may offer STARTTLS in its first line', async () => {
    await using mx = await ScriptedMx.open(async (peer) => {
      peer.say('220 mx.example')
      await peer.hear()
      peer.say('250 STARTTLS')
      await peer.hear()
      peer.socket.end()
    })
    const { target, settings } = openingTo(mx)
    const error = await rejection(openSmtp(target, settings))
    expect(error).toMatchObject({ failure: { reason: 'no-answer' } })
  })
})

describe('greeting and EHLO', () => {
  const answering = (...answers: string[]) =>
    ScriptedMx.open(async (peer) => {
      for (const answer of answers) {
        peer.say(answer)
        await peer.hear()
      }
      peer.socket.end()
    })

  test.each([
    ['421 too many connections', 'CONN', 'ECONNECTION'],
    ['554 5.7.1 you are on a list', 'CONN', 'EPROTOCOL'],
    ['250 hello', 'CONN', 'EPROTOCOL'],
    ['nonsense', 'CONN', 'EPROTOCOL'],
  ])('fail for the greeting %s: the next address is tried', async (greeting, command, code) => {
    await using mx = await answering(greeting)
    const addresses = ['192.0.2.1', '192.0.2.2']
    for (const security of [AUTHENTICATED, OPPORTUNISTIC]) {
      const { target, settings, seen } = openingTo(mx, { addresses, security })
      const error = await smtpRejection(openSmtp(target, settings))
      expect(error).toMatchObject({ code, command, permanent: false })
      expect(seen.dials.map(({ address }) => address)).toEqual(addresses)
      expect(seen.unreachable.map(({ address }) => address)).toEqual(addresses)
      expect(seen.sessions).toEqual([])
    }
  })

  test.each([
    [['220 hi', '421 bye'], 'EHLO', 421],
    [['220 hi', '451 later'], 'EHLO', 451],
    [['220 hi', '550 no', '550 no'], 'HELO', 550],
    [['220 hi', '554 5.7.1 go away'], 'EHLO', 554],
  ])('fail temporarily: %j', async (answers, command, responseCode) => {
    await using mx = await answering(...answers)
    const { target, settings } = openingTo(mx, { security: OPPORTUNISTIC })
    const error = await smtpRejection(openSmtp(target, settings))
    expect(error).toMatchObject({ command, responseCode, permanent: false })
  })

  test('fail temporarily for a refused EHLO inside TLS, and the session counts as good', async () => {
    await using mx = await ScriptedMx.open(async (peer) => {
      await upToStartTls(peer)
      peer.say('220 go')
      await peer.secure()
      await peer.hear()
      peer.say('421 4.3.2 busy')
    })
    const { target, settings, seen } = openingTo(mx)
    const error = await smtpRejection(openSmtp(target, settings))
    expect(error).toMatchObject({ command: 'EHLO', responseCode: 421, permanent: false })
    expect(seen.sessions).toHaveLength(1)
    expect(seen.sessions[0]).not.toHaveProperty('failure')
  })

  test('fall back to HELO, without extensions', async () => {
    await using mx = await ScriptedMx.open(async (peer) => {
      peer.say('220 old.example')
      await peer.hear()
      peer.say('502 what')
      await peer.hear()
      peer.say('250 old.example')
      await takeMessages(peer)
    })
    const connection = await open(mx, { security: OPPORTUNISTIC })
    await connection.send(ENVELOPE, 'text')
    expect(mx.peers[0]?.heard.slice(0, 3)).toEqual([
      'EHLO sender.example',
      'HELO sender.example',
      'MAIL FROM:<ann@sender.example>',
    ])
    connection.close()
  })

  test('use the next address after a failure, of the family of localAddress', async () => {
    await using mx = await ScriptedMx.open(async (peer) => {
      if (mx.peers[0] === peer) return peer.say('421 busy')
      await plain(peer)
    })
    const connection = await open(mx, {
      security: OPPORTUNISTIC,
      addresses: ['2001:db8::1', '192.0.2.1', '192.0.2.2'],
      localAddress: '127.0.0.1',
    })
    expect(connection.address).toBe('192.0.2.2')
    expect(connection.seen.dials.map(({ address }) => address)).toEqual(['192.0.2.1', '192.0.2.2'])
    connection.close()
  })

  test('fail for a host with addresses of the other family only', async () => {
    await using mx = await ScriptedMx.open(plain)
    const addresses = ['2001:db8::1']
    const { target, settings } = openingTo(mx, { addresses, localAddress: '127.0.0.1' })
    const error = await smtpRejection(openSmtp(target, settings))
    expect(error).toMatchObject({ code: 'ECONNECTION', command: 'CONN', permanent: false })
  })

  test('fail with a ConnectError that lists each address', async () => {
    await using mx = await ScriptedMx.open(plain)
    const connect = () => {
      throw new Error('no route')
    }
    const addresses = ['192.0.2.1', '192.0.2.2']
    const { target, settings, seen } = openingTo(mx, { addresses, settings: { connect } })
    const error = await rejection(openSmtp(target, settings))
    expect(error).toBeInstanceOf(ConnectError)
    expect(seen.unreachable.map(({ address }) => address)).toEqual(addresses)
    expect(seen.sessions).toEqual([])
  })

  test('refuse a name that could end the command', async () => {
    await using mx = await ScriptedMx.open(plain)
    for (const name of ['a\r\nMAIL FROM:<x>', 'a b', '', 'a\0']) {
      const { target, settings, seen } = openingTo(mx, { name })
      expect(await rejection(openSmtp(target, settings))).toMatchObject({ code: 'ECONFIG' })
      expect(seen.dials).toEqual([])
    }
  })
})

describe('[SMTP-10] time limits', () => {
  /** Returns the timeouts that were set, in order: no test waits for them. */
  async function timeoutsOf(run: () => Promise<unknown>): Promise<number[]> {
    const set = vi.spyOn(globalThis, 'setTimeout')
    try {
      await run()
      return set.mock.calls.map(([, milliseconds]) => Number(milliseconds))
    } finally {
      set.mockRestore()
    }
  }

  const slow = async (peer: Peer) => {
    await untilSecured(peer)
    await takeMessages(peer)
  }

  test('are those of RFC 5321 for each reply', async () => {
    await using mx = await ScriptedMx.open(slow)
    const timeouts = await timeoutsOf(async () => {
      const connection = await open(mx)
      await connection.send(ENVELOPE, 'text')
      connection.close()
    })
    // TCP; greeting, EHLO, STARTTLS with its handshake, EHLO; MAIL, RCPT, DATA, message
    const handshake = timeouts[4]
    expect(handshake).toBeGreaterThan(0)
    expect(handshake).toBeLessThanOrEqual(30_000)
    expect(timeouts).toEqual([
      ...[30_000, 300_000, 30_000, 30_000, handshake, 30_000],
      ...[300_000, 300_000, 120_000, 600_000],
    ])
  })

  test('are all set by the options', async () => {
    await using mx = await ScriptedMx.open(slow)
    const own = { connectionTimeout: 40_000, greetingTimeout: 50_000, commandTimeout: 60_000 }
    const timeouts = await timeoutsOf(async () => {
      const connection = await open(mx, own)
      await connection.send(ENVELOPE, 'text')
      connection.close()
    })
    expect(timeouts.filter((_, index) => index !== 4)).toEqual([
      ...[40_000, 50_000, 60_000, 40_000, 60_000],
      ...[60_000, 60_000, 60_000, 60_000],
    ])
  })

  test('end the wait for a greeting, and the next address is tried', async () => {
    await using mx = await ScriptedMx.open(async () => {})
    const addresses = ['192.0.2.1', '192.0.2.2']
    const { target, settings, seen } = openingTo(mx, { addresses, greetingTimeout: 50 })
    const error = await smtpRejection(openSmtp(target, settings))
    expect(error).toMatchObject({ code: 'ETIMEDOUT', command: 'CONN', permanent: false })
    expect(seen.dials.map(({ address }) => address)).toEqual(addresses)
    expect(seen.sockets.every(({ destroyed }) => destroyed)).toBe(true)
  })

  test('make a stalling handshake a failed one', async () => {
    await using mx = await ScriptedMx.open(async (peer) => {
      await upToStartTls(peer)
      peer.say('220 go')
    })
    const { target, settings, seen } = openingTo(mx, { connectionTimeout: 3000 })
    const error = await rejection(openSmtp(target, settings))
    expect(error).toMatchObject({ failure: { reason: 'handshake-timeout' } })
    expect(seen.sockets.every(({ destroyed }) => destroyed)).toBe(true)
  })

  test('make silence after the handshake a failed handshake', async () => {
    await using mx = await ScriptedMx.open(async (peer) => {
      await upToStartTls(peer)
      peer.say('220 go')
      await peer.secure()
    })
    const { target, settings } = openingTo(mx, { commandTimeout: 3000 })
    const error = await rejection(openSmtp(target, settings))
    expect(error).toMatchObject({ failure: { reason: 'handshake-timeout' } })
  })
})

describe('an abort signal', () => {
  const reason = new Error('no longer wanted')

  test('that is already aborted opens nothing', async () => {
    await using mx = await ScriptedMx.open(plain)
    const { target, settings, seen } = openingTo(mx, { signal: AbortSignal.abort(reason) })
    expect(await rejection(openSmtp(target, settings))).toBe(reason)
    expect(seen.dials).toEqual([])
  })

  test.each([0, 1, 2, 3, 4])(
    'that is aborted %i promises after TCP stands ends the opening',
    async (promises) => {
      const controller = new AbortController()
      await using mx = await ScriptedMx.open(async () => undefined)
      const connect = () => {
        const socket = mx.dial()
        socket.once('connect', async () => {
          for (let settled = 0; settled < promises; settled++) await undefined
          controller.abort(reason)
        })
        return socket
      }
      const spec = { signal: controller.signal, settings: { connect } }
      const { target, settings } = openingTo(mx, spec)
      expect(await rejection(openSmtp(target, settings))).toBe(reason)
    },
  )

  const MOMENTS: Array<[string, (peer: Peer, abort: () => void) => Promise<void>]> = [
    ['before the greeting', async (_, abort) => abort()],
    [
      'before the reply to EHLO',
      async (peer, abort) => {
        peer.say('220 hi')
        await peer.hear()
        abort()
      },
    ],
    [
      'before the reply to STARTTLS',
      async (peer, abort) => {
        await upToStartTls(peer)
        abort()
      },
    ],
    [
      'in the handshake',
      async (peer, abort) => {
        await upToStartTls(peer)
        peer.say('220 go')
        while (peer.pending === '') await new Promise((resolve) => setImmediate(resolve))
        abort()
      },
    ],
    [
      'before the reply inside TLS',
      async (peer, abort) => {
        await upToStartTls(peer)
        peer.say('220 go')
        await peer.secure()
        await peer.hear()
        abort()
      },
    ],
  ]

  test.each(MOMENTS)('aborts the opening %s and leaves no socket', async (_, script) => {
    const controller = new AbortController()
    await using mx = await ScriptedMx.open((peer) => script(peer, () => controller.abort(reason)))
    for (const security of [AUTHENTICATED, OPPORTUNISTIC]) {
      const { signal } = controller
      const addresses = ['192.0.2.1', '192.0.2.2']
      const { target, settings, seen } = openingTo(mx, { security, signal, addresses })
      expect(await rejection(openSmtp(target, settings))).toBe(reason)
      expect(seen.sockets.every(({ destroyed }) => destroyed)).toBe(true)
      expect(seen.dials.length).toBeLessThanOrEqual(1)
      expect(seen.sessions).toEqual([])
    }
    expect(mx.mistakes).toEqual([])
  })
})

test('a callback that throws leaves no socket', async () => {
  await using mx = await ScriptedMx.open(untilSecured)
  const onSession = () => {
    throw new Error('broken')
  }
  const { target, settings, seen } = openingTo(mx, { settings: { onSession } })
  expect((await rejection(openSmtp(target, settings))).message).toBe('broken')
  expect(seen.sockets.every(({ destroyed }) => destroyed)).toBe(true)
})

test('opens a verified connection with the facts of its peer', async () => {
  await using mx = await ScriptedMx.open(async (peer) => {
    await untilSecured(peer, { after: ['PIPELINING', 'SIZE 1000000'] })
    await takeMessages(peer)
  })
  const connection = await open(mx)
  expect(connection).toMatchObject({
    mxHost: mx.host,
    address: '192.0.2.1',
    port: 25,
    tls: { version: 'TLSv1.3' },
    proved: ['sts'],
    failures: [],
    greeting: '220 greeting.example ESMTP',
    closed: false,
  })
  expect(connection.extensions.get('SIZE')).toBe('1000000')
  expect(connection.seen.sessions).toEqual([
    { address: '192.0.2.1', localAddress: '127.0.0.1', helo: 'greeting.example' },
  ])
  await connection.quit()
  expect(connection.closed).toBe(true)
  expect(mx.peers[0]?.heard.at(-1)).toBe('QUIT')
})
