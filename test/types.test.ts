/**
 * The public types, as programs use them. `npm run check` judges: this
 * file compiles only while all of it holds, and a `@ts-expect-error` with nothing to expect is an
 * error too. Nothing here runs; the functions are never called.
 */
import type { BlockList, Socket } from 'node:net'
import type { ConnectionOptions, PeerCertificate, TLSSocket } from 'node:tls'
import {
  type AppliedPolicy,
  type Candidate,
  type ConnectTarget,
  checkServerIdentity,
  type DaneEvent,
  type DeliveryEvent,
  type DeliveryPlan,
  DeliveryRefusedError,
  type EventMap,
  type EventName,
  type FoundPolicy,
  type Logger,
  MtaSts,
  type MtaStsError,
  type MtaStsOptions,
  type NoPolicy,
  type Policy,
  type PolicyFailureEvent,
  type PolicyLookup,
  type PolicyStore,
  type Proof,
  parsePolicy,
  parseRecord,
  type RefreshEvent,
  type RefreshSummary,
  type Resolver,
  type Security,
  type SessionEvent,
  type StoreFailureEvent,
  type StsRecord,
  selectRecord,
  type TlsaRecord,
  type TlsFailure,
  type TlsReportsEvent,
} from 'mta-sts'
import {
  type DomainDelivery,
  type MtaStsTransportOptions,
  mtaStsTransport,
  type SentInfo,
  type SmartHostInfo,
  type StsOptions,
  withMtaSts,
} from 'mta-sts/nodemailer'
import { type RedisStoreOptions, redisStore } from 'mta-sts/redis'
import { type SqliteStoreOptions, sqliteStore } from 'mta-sts/sqlite'
import {
  createMailWorld,
  type MailDomain,
  type MailWorld,
  type MailWorldOptions,
  type MxHost,
} from 'mta-sts/testing'
import {
  type MemoryReportStoreOptions,
  memoryReportStore,
  type ParseReportOptions,
  type RedisReportStoreOptions,
  type ReportStore,
  type ReportTransporter,
  redisReportStore,
  type SqliteReportStoreOptions,
  sqliteReportStore,
  TlsReporter,
  type TlsReporterOptions,
} from 'mta-sts/tlsrpt'
import nodemailer, { type Transporter } from 'nodemailer'
import { describe, expectTypeOf, it } from 'vitest'

/** A type whose fields are optional. */
type Optional<T> = {
  [K in keyof T]-?: Record<never, never> extends Pick<T, K> ? K : never
}[keyof T]

/** Optional fields that must not be undefined, as `exactOptionalPropertyTypes` distinguishes. */
type LeftOutOnly<T> = {
  [K in Optional<T>]: undefined extends Required<T>[K] ? never : K
}[Optional<T>]

describe('mta-sts', () => {
  it('the status of a lookup distinguishes a policy from none', () => {
    expectTypeOf<PolicyLookup['status']>().toEqualTypeOf<'found' | 'none'>()
    expectTypeOf<Extract<PolicyLookup, { status: 'found' }>>().toEqualTypeOf<FoundPolicy>()
    expectTypeOf<Extract<PolicyLookup, { status: 'none' }>>().toEqualTypeOf<NoPolicy>()
    expectTypeOf<FoundPolicy['policy']>().toEqualTypeOf<Policy>()
    expectTypeOf<FoundPolicy['expiresAt']>().toEqualTypeOf<Date>()
    expectTypeOf<FoundPolicy['source']>().toEqualTypeOf<'cache' | 'network'>()
    expectTypeOf<NoPolicy['reason']>().toEqualTypeOf<
      | 'no-record'
      | 'dns-failure'
      | 'fetch-failed'
      | 'invalid'
      | 'expired'
      | 'store-failure'
      | 'address-literal'
      | 'override'
    >()
    expectTypeOf<PolicyLookup['failure']>().toEqualTypeOf<TlsFailure | undefined>()
    // @ts-expect-error before the status is known, there may be no policy
    expectTypeOf<PolicyLookup['policy']>().toBeObject()
  })

  it('the required proof is one of four', () => {
    expectTypeOf<Security['level']>().toEqualTypeOf<
      'opportunistic' | 'encrypted' | 'authenticated'
    >()
    type Authenticated = Extract<Security, { level: 'authenticated' }>
    expectTypeOf<Authenticated['proofs']>().toEqualTypeOf<readonly [Proof, ...Proof[]]>()
    expectTypeOf<Proof['by']>().toEqualTypeOf<'sts' | 'dane'>()
    expectTypeOf<Extract<Proof, { by: 'dane' }>['tlsa']>().toEqualTypeOf<readonly TlsaRecord[]>()
    expectTypeOf<{ level: 'encrypted'; audit: { by: 'sts' } }>().toExtend<Security>()
    expectTypeOf<{ level: 'authenticated' }>().not.toExtend<Security>()
    expectTypeOf<{ level: 'authenticated'; proofs: [] }>().not.toExtend<Security>()
    expectTypeOf<{ level: 'none' }>().not.toExtend<Security>()
  })

  it('a candidate has the data to make and to judge a connection', () => {
    expectTypeOf<Candidate>().toEqualTypeOf<{
      mxHost: string
      preference: number
      addresses: readonly string[]
      port: number
      security: Security
      tls: ConnectionOptions
      verify(socket: TLSSocket): TlsFailure | undefined
      failure?: TlsFailure
    }>()
    expectTypeOf<DeliveryPlan['candidates']>().toEqualTypeOf<readonly Candidate[]>()
    expectTypeOf<DeliveryPlan['lookup']>().toEqualTypeOf<PolicyLookup>()
  })

  it('MtaSts returns the result of the attempt', () => {
    expectTypeOf(MtaSts).constructorParameters.toEqualTypeOf<
      [options?: MtaStsOptions | undefined]
    >()
    expectTypeOf<MtaSts>().toExtend<AsyncDisposable>()
    expectTypeOf<MtaSts['getPolicy']>().toEqualTypeOf<(domain: string) => Promise<PolicyLookup>>()
    expectTypeOf<MtaSts['refresh']>().returns.resolves.toEqualTypeOf<RefreshSummary>()
    expectTypeOf<MtaSts['close']>().toEqualTypeOf<() => Promise<void>>()
    const deliver = (sts: MtaSts) => sts.deliver('a.example', async ({ port }) => ({ port }))
    expectTypeOf(deliver).returns.resolves.toEqualTypeOf<{ port: number }>()
  })

  it('every option of MtaSts may be omitted or undefined, also with exactOptionalPropertyTypes', () => {
    expectTypeOf<Optional<MtaStsOptions>>().toEqualTypeOf<keyof MtaStsOptions>()
    expectTypeOf<LeftOutOnly<MtaStsOptions>>().toEqualTypeOf<never>()
    expectTypeOf<MtaStsOptions['blockedAddresses']>().toEqualTypeOf<BlockList | undefined>()
    expectTypeOf<MtaStsOptions['logger']>().toEqualTypeOf<Logger | false | undefined>()
    expectTypeOf<MtaStsOptions['store']>().toEqualTypeOf<PolicyStore | undefined>()
    expectTypeOf<(target: ConnectTarget) => Socket>().toExtend<MtaStsOptions['connect']>()
    expectTypeOf<{ minimumSecurity: 'none' }>().not.toExtend<MtaStsOptions>()
    expectTypeOf<{ overrides: Record<string, 'on'> }>().not.toExtend<MtaStsOptions>()
    expectTypeOf<typeof import('node:dns').promises>().toExtend<Resolver>()
    expectTypeOf<Console>().toExtend<Logger>()
  })

  it('parsers and the check of a certificate are exported', () => {
    expectTypeOf(parseRecord).returns.toEqualTypeOf<StsRecord>()
    expectTypeOf(parsePolicy).toBeCallableWith(Buffer.of())
    expectTypeOf(parsePolicy).returns.toEqualTypeOf<Policy>()
    expectTypeOf<Policy['mode']>().toEqualTypeOf<'enforce' | 'testing' | 'none'>()
    expectTypeOf(selectRecord).returns.toEqualTypeOf<StsRecord | undefined>()
    // node:tls's own signature, so that it can stand in its place
    expectTypeOf(checkServerIdentity).toEqualTypeOf<
      (host: string, cert: PeerCertificate) => Error | undefined
    >()
    expectTypeOf(checkServerIdentity).toExtend<ConnectionOptions['checkServerIdentity']>()
  })

  it('a refusal is temporary, and has reasons', () => {
    expectTypeOf<DeliveryRefusedError>().toExtend<MtaStsError>()
    expectTypeOf<DeliveryRefusedError['code']>().toEqualTypeOf<'EMTASTS'>()
    expectTypeOf<DeliveryRefusedError['permanent']>().toEqualTypeOf<false>()
    expectTypeOf<DeliveryRefusedError['policyId']>().toEqualTypeOf<string | undefined>()
    expectTypeOf<DeliveryRefusedError['failures']>().toEqualTypeOf<TlsFailure[]>()
    expectTypeOf(DeliveryRefusedError).instance.toExtend<Error>()
  })

  it('each channel has its own message type', () => {
    expectTypeOf<EventMap>().toEqualTypeOf<{
      'mta-sts:session': SessionEvent
      'mta-sts:policy-failure': PolicyFailureEvent
      'mta-sts:delivery': DeliveryEvent
      'mta-sts:refresh': RefreshEvent
      'mta-sts:store-failure': StoreFailureEvent
      'mta-sts:dane': DaneEvent
      'mta-sts:tlsrpt': TlsReportsEvent
    }>()
    expectTypeOf<EventName>().toEqualTypeOf<keyof EventMap>()
    expectTypeOf<SessionEvent['policy']>().toEqualTypeOf<AppliedPolicy>()
    expectTypeOf<DeliveryEvent['outcome']>().toEqualTypeOf<'delivered' | 'refused' | 'failed'>()
    expectTypeOf<StoreFailureEvent['error']>().toBeUnknown()
  })
})

describe('mta-sts/nodemailer', () => {
  it('createTransport accepts the transport, and sendMail returns its info', () => {
    const direct = () => nodemailer.createTransport(mtaStsTransport({ name: 'mail.a.example' }))
    const send = () => direct().sendMail({ to: 'b@b.example' })
    type Sent = Awaited<ReturnType<typeof send>>
    expectTypeOf<Sent>().toEqualTypeOf<SentInfo>()
    expectTypeOf<Sent['deliveries']>().toEqualTypeOf<DomainDelivery[]>()
    expectTypeOf<Sent['accepted']>().toEqualTypeOf<string[]>()
    expectTypeOf<Sent['messageId']>().toEqualTypeOf<string>()
    expectTypeOf(direct).returns.toExtend<Transporter<SentInfo>>()
  })

  it('the outcome of a domain: false is plaintext, undefined is unknown', () => {
    expectTypeOf<DomainDelivery['tls']>().toEqualTypeOf<
      false | { version: string; cipher: string } | undefined
    >()
    expectTypeOf<DomainDelivery['proved']>().toEqualTypeOf<'nothing' | 'sts' | 'dane'>()
    expectTypeOf<DomainDelivery['status']>().toEqualTypeOf<'delivered' | 'refused' | 'failed'>()
  })

  it('a smart host is given by options, pooled or not, or by a transporter', () => {
    expectTypeOf(withMtaSts).toBeCallableWith({ host: 'smtp.a.example', port: 587 })
    expectTypeOf(withMtaSts).toBeCallableWith({ host: 'smtp.a.example', pool: true })
    const wrapped = () => withMtaSts(nodemailer.createTransport({ host: 'smtp.a.example' }))
    const send = () => nodemailer.createTransport(wrapped()).sendMail({ to: 'b@b.example' })
    type Sent = Awaited<ReturnType<typeof send>>
    expectTypeOf<Sent>().toEqualTypeOf<SmartHostInfo>()
    expectTypeOf<Sent['deliveries']>().toEqualTypeOf<DomainDelivery[]>()
    expectTypeOf<Sent['response']>().toEqualTypeOf<string>()
    // @ts-expect-error not a smart host
    expectTypeOf(withMtaSts).toBeCallableWith(587)
  })

  it('options may be undefined; those of MtaSts, or a shared MtaSts', () => {
    expectTypeOf<Optional<MtaStsTransportOptions>>().toEqualTypeOf<keyof MtaStsTransportOptions>()
    expectTypeOf<LeftOutOnly<MtaStsTransportOptions>>().toEqualTypeOf<never>()
    expectTypeOf<Omit<MtaStsOptions, 'logger'>>().toExtend<StsOptions>()
    expectTypeOf<{ sts: MtaSts; logger: true }>().toExtend<StsOptions>()
    expectTypeOf<{ maxConnections: string }>().not.toExtend<MtaStsTransportOptions>()
  })
})

type StoreExtras = 'removedAt' | 'list' | 'due' | 'lock' | 'close'

describe('stores', () => {
  it('each is a store, of policies or of reports', () => {
    expectTypeOf(sqliteStore).returns.toEqualTypeOf<PolicyStore>()
    expectTypeOf(redisStore).returns.toEqualTypeOf<PolicyStore>()
    expectTypeOf(memoryReportStore).returns.toEqualTypeOf<ReportStore>()
    expectTypeOf(sqliteReportStore).returns.toEqualTypeOf<ReportStore>()
    expectTypeOf(redisReportStore).returns.toEqualTypeOf<ReportStore>()
    expectTypeOf<ReportStore>().not.toExtend<PolicyStore>()
  })

  it('get, set and delete are enough', () => {
    expectTypeOf<Optional<PolicyStore>>().toEqualTypeOf<StoreExtras>()
    expectTypeOf<Pick<PolicyStore, 'get' | 'set' | 'delete'>>().toExtend<PolicyStore>()
    expectTypeOf<Pick<PolicyStore, 'get' | 'set'>>().not.toExtend<PolicyStore>()
  })

  it('their options may be undefined', () => {
    type Options =
      | SqliteStoreOptions
      | RedisStoreOptions
      | MemoryReportStoreOptions
      | SqliteReportStoreOptions
      | RedisReportStoreOptions
    type Each<T> = T extends unknown ? LeftOutOnly<T> : never
    expectTypeOf<Each<Options>>().toEqualTypeOf<never>()
    // So that it is known to tell the two apart
    expectTypeOf<LeftOutOnly<PolicyStore>>().toEqualTypeOf<StoreExtras>()
  })

  it('clients of redis and of ioredis are accepted', () => {
    type Client = Parameters<typeof redisStore>[0]
    expectTypeOf<ReturnType<typeof import('redis').createClient>>().toExtend<Client>()
    expectTypeOf<import('ioredis').Redis>().toExtend<Client>()
    expectTypeOf<Parameters<typeof redisReportStore>[0]>().toEqualTypeOf<Client>()
    expectTypeOf<Map<string, string>>().not.toExtend<Client>()
  })
})

describe('mta-sts/testing', () => {
  it('the options of a world are those of each sender', () => {
    expectTypeOf(createMailWorld).returns.resolves.toEqualTypeOf<MailWorld>()
    expectTypeOf<MailWorld>().toExtend<AsyncDisposable>()
    expectTypeOf<LeftOutOnly<MailWorldOptions>>().toEqualTypeOf<never>()
    expectTypeOf<MailWorld['options']>().returns.toExtend<MtaStsTransportOptions>()
    expectTypeOf<MailWorld['options']>().returns.toExtend<MtaStsOptions>()
    expectTypeOf<MailWorld['options']>().returns.toExtend<StsOptions>()
    expectTypeOf<MailWorld['domain']>().returns.toEqualTypeOf<MailDomain>()
    expectTypeOf<MailDomain['mx']>().returns.toEqualTypeOf<MxHost>()
  })

  it('faults have names', () => {
    expectTypeOf<MxHost['fails']>().toBeCallableWith('expired')
    // @ts-expect-error there is no such fault
    expectTypeOf<MxHost['fails']>().toBeCallableWith('tired')
  })
})

describe('mta-sts/tlsrpt', () => {
  it('a reporter has six required options', () => {
    expectTypeOf(TlsReporter).constructorParameters.toEqualTypeOf<[options: TlsReporterOptions]>()
    expectTypeOf<Exclude<keyof TlsReporterOptions, Optional<TlsReporterOptions>>>().toEqualTypeOf<
      'organizationName' | 'contactInfo' | 'submitter' | 'store' | 'transporter' | 'dkim'
    >()
    expectTypeOf<LeftOutOnly<TlsReporterOptions>>().toEqualTypeOf<never>()
    expectTypeOf<LeftOutOnly<ParseReportOptions>>().toEqualTypeOf<never>()
    expectTypeOf<TlsReporterOptions['days']>().toEqualTypeOf<'all' | 'with-failures' | undefined>()
    expectTypeOf<TlsReporterOptions['sending']>().toEqualTypeOf<
      'automatic' | 'manual' | undefined
    >()
    expectTypeOf<TlsReporter>().toExtend<AsyncDisposable>()
  })

  it('any transporter sends reports', () => {
    expectTypeOf<Transporter<SentInfo>>().toExtend<ReportTransporter>()
    expectTypeOf<Transporter<SmartHostInfo>>().toExtend<ReportTransporter>()
    expectTypeOf<{ send(): void }>().not.toExtend<ReportTransporter>()
  })
})
