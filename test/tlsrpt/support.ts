/**
 * Helpers of the tests of TLS reporting. Independent of vitest, because child processes use them
 * too.
 */
import { channel } from 'node:diagnostics_channel'
import type { PolicyFailureEvent, SessionEvent } from '../../src/events.js'
import { GuardedReportStore } from '../../src/tlsrpt/guarded-store.js'
import {
  type DomainCounts,
  memoryReportStore,
  parseReport,
  type ReportMail,
  type ReportStore,
  type SendSummary,
  type TlsReport,
  type TlsReporterOptions,
} from '../../src/tlsrpt/index.js'
import { resolveReporterOptions } from '../../src/tlsrpt/options.js'
import { Sender } from '../../src/tlsrpt/sender.js'

export const HOUR = 3_600_000
export const DAY = 24 * HOUR

/** A day, and the one after it at noon. */
export const TODAY = '2026-03-14'
export const TODAY_NOON = Date.UTC(2026, 2, 14, 12)
export const TOMORROW_NOON = TODAY_NOON + DAY

/** RSA, 2048 bits; for these tests only. */
export const DKIM_KEY = `-----BEGIN PRIVATE KEY-----
MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQCzcmAVByCBONJs
3UdI3P4jC3NbfL6NbzlZjlA9zszgFY/A+TogLzFCdVtSG3bloU+SWy08KNWp0jLs
zFgguwEU2SVEq3TD7PdOMRDFceOniM7qXlaxjRP/SOGHHGbBR8L36nORT91nYiCv
ddwCxzjfh3hCWXrEdq4MoBo76XTwvYVu4f/Zo08peWidKFIDXlJ6ecAipCVsMiMC
1tXha2GgvYmCSU2xfNO//Glu1vdDYH5QdyDGfLRAgidIFJxEEBkGQx3KQoa83aC1
1Yhl3aNh7y8RXZTxSOTCtGVgJkearDiR15ZFRo0lPXPMMiJesaWSonAdvWE/S+Nt
3BUGsdzzAgMBAAECggEAUZuP57A8j5f0Vo8Rhqj+KJjiBvbFwBOXjMtkYZ+FW9li
bXvKe+2KZPNzKvWTjl3cjq5JdaUKenc+MqPB5my1UrJoOQESkrHXTGeS/YBMbJoS
o9JwccG7mOsfqa74aikFGXM1yJ1+DrC5NaKPgnHwwvNcdSw1YVip0dMT6zBCPuLm
2jK5WO7wOtU+DDFUK/z40U6rXMIksi1yPCpjJQtw3wZRnq8wYlRi2qzGpnXF2wqc
Ax7L7ORpxzD3JXu18tpDCX4R3bTX1z/JoTPWvkN+K6O3D09QGdUelFDGHMq3JaL+
a+SCxbq9ZV90KHmgsqx6zSxFP7fQ2nWBlokflk95bQKBgQDdR9ftiMrqLrKjU+Aa
HslxXqkbmwyof47DICdwTyn0r4eKeN0KRHifUHcBGjJsnlhahHPa8cqy3rOyHUQb
wjLK4iKhwc5WO89aX95d764/O7KyXMO0aA9uZJ+9ykJ2c8oIPPoS7KaNDfrAvbjK
2Dd6ITs7FgCTx2Wrc80RF7z8twKBgQDPmjIN68fy5fx8Is/I1spKEDPPH+kBVH+1
TQc+2wgzNIhDbMKHjUEKkzrke5VBExUkwce/nNp0jQaZSj50TArE9qH5TA76GltK
tBveUiRx2AgYTgqjZoATaSC28mk+avCRGYA5IwX4tjCVllU47Xc9r3Oh21oJsJ63
cRZjYw/dpQKBgQDYXHb0+tvtPtvMdyaYY6H0B+qx41jtKEwe3kGxvrX3Wendq2/1
qh2HKNYzbboAGpOpbfkaC3F2k+qALb16ptejKJlUMHvgNXr5kuOKVeC6U1TWsX1p
2JW+CwVmPW3fBDh29ahO+LWhFhooe1lEfUVBVVzk2Q6XcFAo5IGORPe04QKBgQCi
2vBXMVZaOoaVju13PN/Vt94cpoivjWzdeb6sVUCagqQ+WExF785NEHBLmpLcSK72
dblPnClW8uZxS+ewbZKpLlyj50F8ez6QXLfb8I48bF71SgtYYWkpUPfj7EgZOeTb
vqhyqgHeOHXmctcJ4GcBEejg2OVJ4q6vctxAPQ7OLQKBgQCPBSbFVHmcmfXzsExl
VRRGl+JbZ9hs8leqt2RyM0T/7GgehL8fjvgAmH0TZbjg2rrujjbnu3I6k80Z1yAB
NZBaFbY+waOV7q/l78pSvGfriPHYAsgOUawgJAjJ43UNFPQ3ixYSM9Gh8tCEkcjL
Ale81tj3R2kcq3wWOKSG4xp6hQ==
-----END PRIVATE KEY-----
`

export const DKIM = {
  domainName: 'sender.example',
  keySelector: '20260101',
  privateKey: DKIM_KEY,
}

export const ENFORCE_BODY =
  'version: STSv1\r\nmode: enforce\r\nmx: mx.bob.example\r\nmax_age: 604800\r\n'

export function session(overrides: Partial<SessionEvent> = {}): SessionEvent {
  return {
    policy: {
      type: 'sts',
      domain: 'bob.example',
      mode: 'enforce',
      id: '20260301',
      mxHosts: ['mx.bob.example'],
      body: ENFORCE_BODY,
    },
    mxHost: 'mx.bob.example',
    address: '192.0.2.25',
    localAddress: '198.51.100.7',
    helo: 'mx.bob.example',
    ...overrides,
  }
}

/** A session with a domain that has no policy. */
export function plainSession(domain: string, overrides: Partial<SessionEvent> = {}): SessionEvent {
  const policy = { type: 'no-policy-found', domain, mode: 'none', mxHosts: [] } as const
  return session({ policy, mxHost: `mx.${domain}`, ...overrides })
}

export function failedSession(overrides: Partial<SessionEvent> = {}): SessionEvent {
  return session({ failure: { resultType: 'certificate-expired' }, ...overrides })
}

export function publishSession(event: unknown = session()): void {
  channel('mta-sts:session').publish(event)
}

export function publishPolicyFailure(event: PolicyFailureEvent): void {
  channel('mta-sts:policy-failure').publish(event)
}

/** The day's successes with a domain without a policy, as stores count them. */
export function counts(domain: string, day: string, successes = 1): DomainCounts {
  const policy = { policyType: 'no-policy-found', policyDomain: domain }
  return { day, domain, policies: [{ key: `key-of-${domain}`, policy, successes, failures: [] }] }
}

export interface Sent {
  to: string
  report: TlsReport
  mail: ReportMail
}

/** Accepts every mail, or fails with the result of `failing`. */
export class FakeTransporter {
  readonly sent: Sent[] = []
  failing: (to: string) => Error | undefined = () => undefined

  async sendMail(mail: ReportMail): Promise<unknown> {
    const to = mail.envelope.to.join()
    const error = this.failing(to)
    if (error) throw error
    this.sent.push({ to, report: parseReport(mail.raw), mail })
    return { accepted: [to], rejected: [] }
  }

  /** Day and domain of each report, in the order of sending. */
  get days(): string[] {
    return this.sent.map(
      ({ report }) =>
        `${report.dateRange.start.toISOString().slice(0, 10)} ${report.policies[0]?.policyDomain}`,
    )
  }
}

/** Answers from a table of names with records or failures. */
export class FakeResolver {
  readonly txt = new Map<string, string[] | 'SERVFAIL'>()
  readonly addresses = new Map<string, string[]>()
  readonly questions: string[] = []

  constructor(rua: Record<string, string> = {}) {
    for (const [domain, uris] of Object.entries(rua)) this.reports(domain, uris)
  }

  /** Makes a domain request reports. */
  reports(domain: string, rua: string): void {
    this.txt.set(`_smtp._tls.${domain}`, [`v=TLSRPTv1; rua=${rua}`])
  }

  async resolveTxt(name: string): Promise<string[][]> {
    this.questions.push(name)
    const found = this.txt.get(name)
    if (found === undefined) throw withCode('ENODATA')
    if (found === 'SERVFAIL') throw withCode('ESERVFAIL')
    return found.map((text) => [text])
  }

  async resolveMx(): Promise<Array<{ exchange: string; priority: number }>> {
    throw withCode('ENODATA')
  }

  async resolve4(name: string): Promise<string[]> {
    return this.addresses.get(name) ?? []
  }

  async resolve6(): Promise<string[]> {
    return []
  }
}

export function withCode(code: string): Error {
  return Object.assign(new Error(`query ${code}`), { code })
}

/** Options of a reporter with manual sending and defaults. */
export function reporterOptions(
  overrides: Partial<TlsReporterOptions> = {},
): TlsReporterOptions & { store: ReportStore } {
  return {
    organizationName: 'Sender Ltd',
    contactInfo: 'postmaster@sender.example',
    submitter: 'sender.example',
    store: memoryReportStore(),
    transporter: new FakeTransporter(),
    dkim: DKIM,
    resolver: new FakeResolver({ 'bob.example': 'mailto:reports@bob.example' }),
    sending: 'manual',
    now: () => TOMORROW_NOON,
    random: () => 0.5,
    ...overrides,
  }
}

/** Sends as another process on the same store does; a process has only one reporter. */
export class OtherProcess {
  readonly #sender: Sender

  constructor(options: TlsReporterOptions) {
    const settings = resolveReporterOptions(options)
    this.#sender = new Sender(settings, new GuardedReportStore(settings.store))
  }

  sendReports({ early = true } = {}): Promise<SendSummary> {
    return this.#sender.run({ early })
  }
}
