/**
 * A DNS server on loopback, over UDP and TCP on one port, authoritative for everything.
 *
 * @module
 */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import type { Answer, DecodedPacket, Packet, Question } from 'dns-packet'
import type { DnsQuery } from './log.js'
import { closeServer, OpenSockets } from './open-sockets.js'
import type { DnsPacket } from './optional-packages.js'
import type { Zone, ZoneAnswer, ZoneRecord } from './zone.js'

type Over = DnsQuery['over']

const RCODES = { answered: 0, nodata: 0, servfail: 2, bogus: 2, nxdomain: 3, refused: 5 } as const
const TXT_STRING_LIMIT = 255
const UDP_LIMIT = 512
const PORT_ATTEMPTS = 20

export interface DnsServerSetup {
  dnsPacket: DnsPacket
  zone: Zone
  onQuery: (query: Omit<DnsQuery, 'kind' | 'at'>) => void
}

export class DnsServer {
  readonly port: number
  readonly #setup: DnsServerSetup
  readonly #udp: UdpSocket
  readonly #tcp: Server
  readonly #sockets = new OpenSockets()

  private constructor(setup: DnsServerSetup, udp: UdpSocket, tcp: Server) {
    this.#setup = setup
    this.#udp = udp
    this.#tcp = tcp
    this.port = udp.address().port
    udp.on('message', (message, peer) => this.#onDatagram(message, peer))
    udp.on('error', () => undefined)
    udp.unref()
    tcp.unref()
    tcp.on('connection', (socket) => this.#onConnection(socket))
  }

  static async open(setup: DnsServerSetup): Promise<DnsServer> {
    const { udp, tcp } = await samePort()
    return new DnsServer(setup, udp, tcp)
  }

  async close(): Promise<void> {
    const closed = once(this.#udp, 'close')
    this.#udp.close()
    await Promise.all([closed, closeServer(this.#tcp, this.#sockets)])
  }

  #onDatagram(message: Buffer, peer: RemoteInfo): void {
    const query = this.#decode(message)
    const reply = query && this.#reply(query, 'udp')
    if (reply === undefined) return
    const bytes = this.#setup.dnsPacket.encode(reply)
    const fits = bytes.length <= payloadSize(query)
    // RFC 1035 §4.2.1: the client asks again over TCP
    const sent = fits ? bytes : this.#setup.dnsPacket.encode(this.#truncated(reply))
    this.#udp.send(sent, peer.port, peer.address, () => undefined)
  }

  #truncated(reply: Packet): Packet {
    const flags = (reply.flags ?? 0) | this.#setup.dnsPacket.TRUNCATED_RESPONSE
    return { ...reply, flags, answers: [], authorities: [] }
  }

  #onConnection(socket: Socket): void {
    socket.unref()
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    let held = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      held = Buffer.concat([held, chunk])
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        const end = 2 + held.readUInt16BE(0)
        const query = this.#decode(held.subarray(2, end))
        held = held.subarray(end)
        const reply = query && this.#reply(query, 'tcp')
        if (reply !== undefined) socket.write(this.#setup.dnsPacket.streamEncode(reply))
      }
    })
  }

  #decode(message: Buffer): DecodedPacket | undefined {
    try {
      return this.#setup.dnsPacket.decode(message)
    } catch {
      return undefined
    }
  }

  /** Undefined: no answer is sent. */
  #reply(query: DecodedPacket, over: Over): Packet | undefined {
    const question = query.questions?.[0]
    if (query.flag_qr || question === undefined) return undefined
    const { outcome, records, secure } = this.#setup.zone.answer(question.name, question.type)
    this.#setup.onQuery({ name: question.name.toLowerCase(), type: question.type, over, outcome })
    if (outcome === 'timeout') return undefined
    return this.#packet(query, question, { outcome, records, secure }, RCODES[outcome])
  }

  #packet(query: DecodedPacket, question: Question, answer: ZoneAnswer, rcode: number): Packet {
    const { AUTHORITATIVE_ANSWER, AUTHENTIC_DATA, RECURSION_DESIRED, RECURSION_AVAILABLE } =
      this.#setup.dnsPacket
    const desired = query.flag_rd ? RECURSION_DESIRED : 0
    // RFC 6840 §5.8: only where the query asked for it
    const authentic = query.flag_ad && answer.secure ? AUTHENTIC_DATA : 0
    const edns = query.additionals?.filter((record) => record.type === 'OPT') ?? []
    return {
      type: 'response',
      ...(query.id === undefined ? {} : { id: query.id }),
      flags: AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE | desired | authentic | rcode,
      questions: [question],
      answers: answer.records.map(({ name, record }) => wireRecord(name, record)),
      // RFC 2308 §3: negative answers have an SOA record
      authorities: answer.outcome === 'nodata' || answer.outcome === 'nxdomain' ? [SOA] : [],
      additionals: edns.map((record) => ({ ...record, options: extendedErrors(answer.outcome) })),
    }
  }
}

/** RFC 8914 §4.7: DNSSEC Bogus, an option that the types of `dns-packet` do not list. */
function extendedErrors(outcome: ZoneAnswer['outcome']): never[] {
  const bogus = { code: 15, data: Buffer.from([0, 6]) }
  return outcome === 'bogus' ? [bogus as never] : []
}

/** TTL 0, so that changes are seen at once. */
const SOA: Answer = {
  type: 'SOA',
  name: '.',
  ttl: 0,
  data: { mname: 'ns.example', rname: 'hostmaster.example', serial: 1, minimum: 0 },
}

function wireRecord(name: string, record: ZoneRecord): Answer {
  const common = { name, ttl: record.ttl ?? 0, class: 'IN' } as const
  switch (record.type) {
    case 'TXT':
      return { ...common, type: 'TXT', data: txtStrings(record.data) }
    case 'MX':
      return { ...common, type: 'MX', data: record.data }
    case 'SRV':
      return { ...common, type: 'SRV', data: record.data }
    case 'TLSA': {
      const { data, ...fields } = record.data
      const certificate = typeof data === 'string' ? Buffer.from(data, 'hex') : Buffer.from(data)
      return { ...common, type: 'TLSA', data: { ...fields, certificate } }
    }
    default:
      return { ...common, type: record.type, data: record.data }
  }
}

function txtStrings(data: string | readonly string[]): Buffer[] {
  if (typeof data !== 'string') return data.map((text) => Buffer.from(text))
  const bytes = Buffer.from(data)
  const strings: Buffer[] = []
  for (let at = 0; at === 0 || at < bytes.length; at += TXT_STRING_LIMIT) {
    strings.push(bytes.subarray(at, at + TXT_STRING_LIMIT))
  }
  return strings
}

/** RFC 6891 §6.2.5 */
function payloadSize(query: DecodedPacket | undefined): number {
  const edns = query?.additionals?.find((record) => record.type === 'OPT')
  return Math.max(UDP_LIMIT, edns?.type === 'OPT' ? edns.udpPayloadSize : 0)
}

/** A resolver has one port, for UDP and TCP: tries until it is free for both. */
async function samePort(): Promise<{ udp: UdpSocket; tcp: Server }> {
  for (let attempt = 1; ; attempt++) {
    const udp = createSocket('udp4')
    udp.bind(0, '127.0.0.1')
    await once(udp, 'listening')
    const tcp = createServer()
    try {
      tcp.listen(udp.address().port, '127.0.0.1')
      await once(tcp, 'listening')
      return { udp, tcp }
    } catch (error) {
      udp.close()
      if (attempt === PORT_ATTEMPTS) throw error
    }
  }
}
