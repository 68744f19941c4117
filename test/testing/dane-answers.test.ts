/** Faults of DANE, met by a DNS client of its own that asks with the AD bit. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import dnsPacket from 'dns-packet'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  createMailWorld,
  DANE_FAULTS,
  type DaneFault,
  type MailWorld,
} from '../../src/testing/index.js'

let world: MailWorld

beforeAll(async () => {
  world = await createMailWorld()
})
afterAll(() => world.close())

/** What comes back: how many records of the type, whether validated; or the code of the failure. */
async function ask(name: string, type: 'MX' | 'A' | 'TLSA'): Promise<string> {
  const socket = createSocket('udp4')
  const id = 4711
  const flags = dnsPacket.RECURSION_DESIRED | dnsPacket.AUTHENTIC_DATA
  const query = dnsPacket.encode({ type: 'query', id, flags, questions: [{ name, type }] })
  socket.send(query, world.dns.port, '127.0.0.1')
  const signal = AbortSignal.timeout(type === 'TLSA' && isSilent ? 50 : 5000)
  try {
    const [datagram] = await once(socket, 'message', { signal })
    const answer = dnsPacket.decode(datagram) as dnsPacket.DecodedPacket & { rcode?: string }
    const validated = answer.flag_ad ? ' signed' : ''
    if (answer.rcode !== 'NOERROR') return `${answer.rcode}${validated}`
    const found = (answer.answers ?? []).filter((record) => record.type === type).length
    return `${found}${validated}`
  } catch {
    return 'nothing'
  } finally {
    socket.close()
  }
}

/** Whether no answer is what is expected: it is then waited for only so long. */
let isSilent = false

const GOOD = ['1 signed', '1 signed', '1 signed'] as const
const [SIGNED] = GOOD

/** The answers for the MX records, the address of the MX host, its TLSA records. */
const ANSWERS: Readonly<Record<DaneFault, readonly [mx: string, address: string, tlsa: string]>> = {
  'insecure-mx': ['1', SIGNED, SIGNED],
  'bogus-mx': ['SERVFAIL', SIGNED, SIGNED],
  'insecure-address': [SIGNED, '1', SIGNED],
  'bogus-address': [SIGNED, 'SERVFAIL', SIGNED],
  'no-tlsa': [SIGNED, SIGNED, 'NXDOMAIN signed'],
  'opt-out': [SIGNED, SIGNED, 'NXDOMAIN'],
  'insecure-tlsa': [SIGNED, SIGNED, '1'],
  'bogus-tlsa': [SIGNED, SIGNED, 'SERVFAIL'],
  'tlsa-servfail': [SIGNED, SIGNED, 'SERVFAIL'],
  'tlsa-timeout': [SIGNED, SIGNED, 'nothing'],
  'old-key': GOOD,
  'pkix-records': [SIGNED, SIGNED, '2 signed'],
  'short-record': GOOD,
  'anchor-not-sent': GOOD,
  alias: GOOD,
  'insecure-alias': [SIGNED, '1', SIGNED],
  'insecure-alias-target': [SIGNED, '1', SIGNED],
}

it('has an answer for every fault', () => {
  expect(Object.keys(ANSWERS).sort()).toEqual(DANE_FAULTS.map(({ name }) => name).sort())
})

it.each(DANE_FAULTS.map(({ name, plays }) => [name, plays] as const))('%s: %s', async (fault) => {
  const domain = world.domain(`${fault}.example`)
  const { name } = domain.mx()
  const answers = () =>
    Promise.all([ask(domain.name, 'MX'), ask(name, 'A'), ask(`_25._tcp.${name}`, 'TLSA')])
  domain.dane()
  expect(await answers()).toEqual(GOOD)
  domain.dane({ fails: fault })
  isSilent = fault === 'tlsa-timeout'
  expect(await answers()).toEqual(ANSWERS[fault])
  isSilent = false
  domain.dane(null)
  expect(await answers()).toEqual(['1', '1', 'NXDOMAIN'])
})

it.each([{ signedBy: 'itself' }, { chain: false }] as const)(
  'refuses records of the intermediate beside a certificate with %j, and changes nothing',
  async (spec) => {
    const name = `without-intermediate-${Object.keys(spec)}.example`
    const domain = world.domain(name)
    domain.mx().certificate(spec)

    expect(() => domain.dane({ records: [{ of: 'intermediate' }] })).toThrow(
      /dane\(\): records: mx\.\S+ sends no intermediate.*certificate\(\)/,
    )

    expect(await ask(name, 'MX')).toBe('1')
    domain.mx().certificate()
    domain.dane({ records: [{ of: 'intermediate' }] })
    expect(await ask(`_25._tcp.mx.${name}`, 'TLSA')).toBe('1 signed')
  },
)
