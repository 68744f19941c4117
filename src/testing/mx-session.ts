/**
 * One connection to an MX host: the options of `smtp-server`, and the record of it.
 *
 * @module
 */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { SMTPServerDataStream, SMTPServerOptions, SMTPServerSession } from 'smtp-server'
import type { Arrival, Surroundings } from './endpoint.js'
import { familyOf } from './endpoint.js'
import { inSlot, type Played } from './fault-stack.js'
import type { MxFault } from './faults.js'
import type { Login, Offers } from './host-api.js'
import type { MxConnection, TlsFacts } from './log.js'
import { Message, type ReceivedMessage } from './message.js'
import type { MxServer } from './mx-server.js'
import { tlsFacts } from './policy-server.js'
import { parseReply } from './replies.js'
import type { Decision, Moment } from './rules.js'
import type { SmtpSession, SmtpSessionSetup } from './smtp-session.js'
import { type TlsSettings, tlsServerOptions } from './tls-settings.js'

export interface MxSessionSetup {
  host: Pick<MxServer, 'name' | 'options' | 'credentials' | 'inbox'>
  socket: Socket
  arrival: Arrival
  surroundings: Surroundings
  Session: new (setup: SmtpSessionSetup) => SmtpSession
  played: readonly Played<MxFault>[]
  offers: Offers
  tls: TlsSettings
  ask: (moment: Moment) => Decision
  stray: (recipient: string) => string | undefined
  onMessage: (message: ReceivedMessage) => Promise<void>
}

export class MxSession {
  readonly #setup: MxSessionSetup
  readonly #record: MxConnection
  #session: SmtpSession | undefined

  constructor(setup: MxSessionSetup) {
    this.#setup = setup
    const { host, arrival, played, surroundings, socket } = setup
    const record: MxConnection = {
      kind: 'smtp',
      mx: host.name,
      address: arrival.address,
      port: arrival.port,
      fault: played[0]?.fault,
      faults: played.map(({ fault }) => fault),
      lines: [],
      tls: undefined,
      servername: undefined,
      mailFrom: undefined,
      error: undefined,
      closed: false,
      at: surroundings.clock.now(),
    }
    surroundings.log.add(record)
    socket.once('close', () => {
      record.closed = true
      surroundings.log.changed()
    })
    this.#record = record
  }

  async serve(): Promise<void> {
    const { host, socket, arrival, surroundings, Session, played, offers, ask } = this.#setup
    const credentials = await host.credentials(arrival)
    if (socket.destroyed) return
    const server = new surroundings.peers.SMTPServer({ ...this.#behaviour(), ...credentials })
    const family = familyOf(arrival)
    const record = this.#record
    const session = new Session({ server, socket, record, family, played, offers, ask })
    this.#session = session
    session.on('error', (error) => {
      record.error = error
    })
    session.init()
  }

  #behaviour(): SMTPServerOptions {
    const { host, played, tls } = this.#setup
    const { auth, requireTls = false, port = 25, secure = port === 465 } = host.options
    const plain = inSlot(played, 'starttls')?.fault === 'no-starttls'
    if (plain) inSlot(played, 'starttls')?.standing.meet()
    return {
      name: host.name,
      logger: false,
      disableReverseLookup: true,
      authMethods: ['PLAIN', 'LOGIN', 'XOAUTH2'],
      disabledCommands: [...(auth ? [] : ['AUTH']), ...(plain ? ['STARTTLS'] : [])],
      hideREQUIRETLS: !requireTls,
      ...(secure ? { secure: true, needsUpgrade: true } : {}),
      ...tlsServerOptions({ ...tls, ...tlsFaults(played) }),
      SNICallback: (servername, done) => {
        this.#record.servername = servername
        done(null)
      },
      onConnect: (_session, done) => this.#onConnect(done),
      onSecure: (secured, _session, done) => {
        if (secured instanceof TLSSocket) this.#record.tls = tlsFacts(secured)
        done()
      },
      onAuth: (login, _session, done) => {
        this.#onAuth(login, (refusal) => done(refusal, { user: login.username }))
      },
      onRcptTo: ({ address }, _session, done) => {
        const why = this.#setup.stray(address)
        done(why === undefined ? null : replyError(`550 5.1.2 ${why}`))
      },
      onData: (stream, session, done) => {
        this.#onData(stream, session).then(
          (decided) => typeof decided === 'string' || done(decided),
          (error) => done(error),
        )
      },
    }
  }

  #onConnect(done: (error?: Error | null) => void): void {
    this.#session?.decide('greeting').then((decided) => {
      if (decided === 'goes on') done()
      else if (decided !== 'over') done(replyError(decided.reply))
    }, done)
  }

  #onAuth(login: Given, done: (error: Error | null) => void): void {
    const { username = '' } = login
    this.#session?.decide('auth', { user: username }).then((decided) => {
      if (decided === 'over') return
      if (decided !== 'goes on') return done(replyError(decided.reply))
      const known = [this.#setup.host.options.auth ?? []].flat().some((one) => matches(one, login))
      done(known ? null : new Error('Authentication failed'))
    }, done)
  }

  /** Resolves to the reply to a message: null is a good one, `over` none at all. */
  async #onData(
    stream: SMTPServerDataStream,
    session: SMTPServerSession,
  ): Promise<Error | null | 'over'> {
    const { socket, played, onMessage } = this.#setup
    const message = await this.#take(stream, session)
    const drops = inSlot(played, 'message')
    if (drops?.fault === 'drops-after-data') {
      drops.standing.meet()
      socket.destroy()
      return 'over'
    }
    const decided = await this.#session?.decide('message', { size: message.bytes.length })
    if (decided === 'over' || decided === undefined) return 'over'
    if (decided !== 'goes on') return replyError(decided.reply)
    await onMessage(message)
    return null
  }

  async #take(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<ReceivedMessage> {
    const { mailFrom, rcptTo, requireTLS } = session.envelope
    const { user } = session
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk)
    const bytes = Buffer.concat(chunks)
    const { tls: facts, address, lines } = this.#record
    const tls: TlsFacts | false = facts ?? false
    const text = `(a message of ${bytes.length} bytes)`
    lines.push({ from: 'client', text, tls: tls !== false })
    const { host, surroundings } = this.#setup
    return new Message({
      envelope: {
        from: mailFrom ? mailFrom.address : '',
        to: rcptTo.map((recipient) => recipient.address),
      },
      bytes,
      mx: host.name,
      address,
      user: typeof user === 'string' ? user : undefined,
      tls,
      requireTls: requireTLS === true,
      at: surroundings.clock.now(),
      zone: surroundings.zone,
      parser: surroundings.peers.parser,
    })
  }
}

/** The login of a client. */
interface Given {
  username?: string | undefined
  password?: string | null | undefined
  accessToken?: string | null | undefined
}

function matches({ user, pass, accessToken = pass }: Login, given: Given): boolean {
  if (given.username !== user) return false
  if (typeof given.accessToken === 'string') return given.accessToken === accessToken
  return pass !== undefined && given.password === pass
}

function tlsFaults(played: readonly Played<MxFault>[]): TlsSettings {
  return {
    ...(inSlot(played, 'version') ? { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' } : {}),
    ...(inSlot(played, 'client-certificate') ? { clientCertificate: 'require' } : {}),
  }
}

/** Returns a reply in the shape in which smtp-server takes it. */
function replyError(reply: string): Error & { responseCode: number } {
  const { code, lines } = parseReply(reply)
  return Object.assign(new Error(lines.join('\n')), { responseCode: code })
}
