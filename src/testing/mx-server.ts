/**
 * An MX host: an SMTP server with STARTTLS on port 25, and whatever is wrong with it.
 *
 * @module
 */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { SMTPServerDataStream, SMTPServerOptions, SMTPServerSession } from 'smtp-server'
import type { MxHost, SmartHostOptions } from './api.js'
import { type Arrival, Endpoint, type EndpointSetup } from './endpoint.js'
import { type MxFault, parseReply } from './faults.js'
import type { MxConnection, ReceivedMessage, TlsFacts } from './log.js'
import type { Accept } from './loopback.js'
import { tlsFacts } from './policy-server.js'
import type { SmtpSession, SmtpSessionSetup } from './smtp-session.js'

export interface MxServerSetup extends EndpointSetup {
  options: SmartHostOptions
  Session: new (setup: SmtpSessionSetup) => SmtpSession
  onMessage: (message: ReceivedMessage) => void
}

export class MxServer extends Endpoint<MxFault> implements MxHost {
  readonly inbox: ReceivedMessage[] = []
  readonly #setup: MxServerSetup
  readonly #port: number

  constructor(setup: MxServerSetup) {
    super(setup)
    this.#setup = setup
    this.#port = setup.options.port ?? 25
  }

  override fails(fault: MxFault): void {
    if (typeof fault === 'object') parseReply(fault.reply)
    super.fails(fault)
  }

  get connections(): MxConnection[] {
    return this.surroundings.log.of('smtp').filter(({ mx }) => mx === this.name)
  }

  protected accepts(arrival: Arrival): Accept | undefined {
    if (arrival.port !== this.#port || this.fault === 'unreachable') return undefined
    return (socket) => {
      this.#serve(socket, arrival).catch((error) => socket.destroy(error))
    }
  }

  async #serve(socket: Socket, { address, port }: Arrival): Promise<void> {
    const { surroundings, fault } = this
    const { Session } = this.#setup
    const record: MxConnection = {
      kind: 'smtp',
      mx: this.name,
      address,
      port,
      fault,
      lines: [],
      tls: undefined,
      servername: undefined,
      mailFrom: undefined,
      error: undefined,
      closed: false,
      at: surroundings.clock.now(),
    }
    surroundings.log.entries.push(record)
    socket.once('close', () => {
      record.closed = true
    })
    const credentials = await this.credentials()
    if (socket.destroyed) return
    const server = new surroundings.peers.SMTPServer({
      ...this.#behaviour(record, socket),
      ...credentials,
    })
    const session = new Session({ server, socket, record, fault })
    session.on('error', (error) => {
      record.error = error
    })
    session.init()
  }

  #behaviour(record: MxConnection, socket: Socket): SMTPServerOptions {
    const { auth, requireTls = false, secure = this.#port === 465 } = this.#setup.options
    const { fault } = record
    const onClose = socket.listeners('close')
    return {
      name: this.name,
      logger: false,
      disableReverseLookup: true,
      disabledCommands: [
        ...(auth ? [] : ['AUTH']),
        ...(fault === 'no-starttls' ? ['STARTTLS'] : []),
      ],
      hideREQUIRETLS: !requireTls,
      ...(secure ? { secure: true, needsUpgrade: true } : {}),
      ...(fault === 'tls-1.1' ? TLS_1_1 : {}),
      SNICallback: (servername, done) => {
        record.servername = servername
        done(null)
      },
      onConnect: (_session, done) => done(replyAt(fault, 'greeting')),
      onSecure: (secured, _session, done) => {
        if (secured instanceof TLSSocket) record.tls = tlsFacts(secured)
        // smtp-server takes all listeners off the plain socket below it
        for (const listener of onClose) secured.once('close', () => listener())
        done()
      },
      onAuth: ({ username, password }, _session, done) => {
        const known = auth?.user === username && auth?.pass === password
        done(known ? null : new Error('Authentication failed'), { user: username })
      },
      onData: (stream, session, done) => {
        this.#take(stream, { record, session })
          .then((message) => {
            if (fault === 'drops-after-data') return void socket.destroy()
            const refusal = replyAt(fault, 'message')
            if (refusal === null) this.#keep(message)
            done(refusal)
          })
          .catch(done)
      },
    }
  }

  async #take(
    stream: SMTPServerDataStream,
    { record, session }: { record: MxConnection; session: SMTPServerSession },
  ): Promise<ReceivedMessage> {
    const { mailFrom, rcptTo, requireTLS } = session.envelope
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk)
    const bytes = Buffer.concat(chunks)
    const tls: TlsFacts | false = record.tls ?? false
    record.lines.push({
      from: 'client',
      text: `(a message of ${bytes.length} bytes)`,
      tls: tls !== false,
    })
    return {
      envelope: {
        from: mailFrom ? mailFrom.address : '',
        to: rcptTo.map(({ address }) => address),
      },
      raw: bytes.toString(),
      bytes,
      mx: this.name,
      address: record.address,
      tls,
      requireTls: requireTLS === true,
      at: this.surroundings.clock.now(),
    }
  }

  #keep(message: ReceivedMessage): void {
    this.inbox.push(message)
    this.#setup.onMessage(message)
  }
}

const TLS_1_1 = {
  minVersion: 'TLSv1.1',
  maxVersion: 'TLSv1.1',
  // OpenSSL 3 signs nothing for TLS 1.1 above this level
  ciphers: 'DEFAULT@SECLEVEL=0',
} as const

/** In the shape in which smtp-server wants to be told. */
function replyAt(
  fault: MxFault | undefined,
  at: 'greeting' | 'message',
): (Error & { responseCode: number }) | null {
  if (typeof fault !== 'object' || fault.at !== at) return null
  const { code, lines } = parseReply(fault.reply)
  return Object.assign(new Error(lines.join(' ')), { responseCode: code })
}
