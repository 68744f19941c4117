/**
 * A day of mail in a mail world, and its reports, compared to a file that was not generated:
 * expected/day.json.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import nodemailer, { type Transporter } from 'nodemailer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mtaStsTransport, type SentInfo } from '../../src/nodemailer/index.js'
import {
  createMailWorld,
  type DomainOptions,
  type MailWorld,
  type MxFault,
  type PolicyHostFault,
  type ReceivedMessage,
} from '../../src/testing/index.js'
import { RESULT_TYPES } from '../../src/tls/failures.js'
import { memoryReportStore, TlsReporter } from '../../src/tlsrpt/index.js'
import { parseMail } from '../../src/tlsrpt/read-mail.js'
import { DAY, DKIM, TODAY_NOON } from './support.js'

interface Scene extends DomainOptions {
  name: string
  messages?: number
  mxFault?: MxFault
  policyHostFault?: PolicyHostFault
  dnsFault?: 'spoofed-mx' | 'malformed-record'
}

const SCENES: Scene[] = [
  { name: 'valid', mode: 'enforce', messages: 3 },
  { name: 'testing', mode: 'testing', mx: ['mx1', 'mx2'], mxFault: 'wrong-name', messages: 2 },
  { name: 'stray', mode: 'testing', patterns: ['*.elsewhere.example'] },
  { name: 'none', mode: 'none' },
  { name: 'no-policy' },
  { name: 'plaintext', mxFault: 'no-starttls' },
  { name: 'stripped', mode: 'enforce', mxFault: 'no-starttls' },
  { name: 'unwilling', mode: 'enforce', mxFault: 'starttls-454' },
  { name: 'expired', mode: 'enforce', mxFault: 'expired' },
  { name: 'self-signed', mode: 'enforce', mxFault: 'self-signed' },
  { name: 'old', mode: 'enforce', mxFault: 'tls-1.1' },
  { name: 'spoofed', mode: 'enforce', dnsFault: 'spoofed-mx' },
  { name: 'malformed', mode: 'enforce', dnsFault: 'malformed-record' },
  { name: 'missing', mode: 'enforce', policyHostFault: '404' },
  { name: 'broken', mode: 'enforce', policyHostFault: 'invalid-policy' },
  { name: 'webpki', mode: 'enforce', policyHostFault: 'expired' },
]

type Json = Record<string, unknown>

const expected: Record<string, Json> = JSON.parse(
  readFileSync(new URL('./expected/day.json', import.meta.url), 'utf8'),
)

/** The raw report in a mail. */
function jsonIn(message: ReceivedMessage): Json {
  const { parts } = parseMail(message.bytes)
  const part = parts.find(({ type }) => type === 'application/tlsrpt+gzip')
  if (part === undefined) throw new Error('there is no report in this mail')
  return JSON.parse(gunzipSync(part.content).toString())
}

/** All values of a field at any depth. */
function valuesOf(json: unknown, field: string): unknown[] {
  if (typeof json !== 'object' || json === null) return []
  return Object.entries(json).flatMap(([name, value]) =>
    name === field ? [value] : valuesOf(value, field),
  )
}

describe('a day', () => {
  const clock = { time: TODAY_NOON }
  const reports = new Map<string, Json>()
  let world: MailWorld
  let transporter: Transporter<SentInfo>
  let reporter: TlsReporter

  beforeAll(async () => {
    world = await createMailWorld()
    const options = { ...world.options(), now: () => clock.time, refreshInterval: 0 }
    transporter = nodemailer.createTransport(mtaStsTransport(options))
    reporter = new TlsReporter({
      ...options,
      organizationName: 'Sender Ltd',
      contactInfo: 'postmaster@sender.example',
      submitter: 'sender.example',
      store: memoryReportStore(),
      transporter,
      dkim: DKIM,
      sending: 'manual',
    })
    for (const scene of SCENES) await play(scene)
    world.forget()
    clock.time += DAY
    await reporter.sendReports()
    for (const message of world.inbox) {
      const domain = message.envelope.to[0]?.split('@')[1] ?? ''
      reports.set(domain, jsonIn(message))
    }
  })

  afterAll(async () => {
    await reporter.close()
    transporter.close()
    await world.close()
  })

  async function play(scene: Scene): Promise<void> {
    const { name, messages = 1, mxFault, policyHostFault, dnsFault, ...options } = scene
    const domain = world.domain(`${name}.example`, options)
    world.dns.set(`_smtp._tls.${domain.name}`, 'TXT', [
      `v=TLSRPTv1; rua=mailto:reports@${domain.name}`,
    ])
    if (mxFault) domain.mx().fails(mxFault)
    if (policyHostFault) domain.policyHost.fails(policyHostFault)
    if (dnsFault) domain.dns.fails(dnsFault)
    for (let n = 0; n < messages; n++) {
      const message = { from: 'me@sender.example', to: `you@${domain.name}`, text: 'Hello' }
      // Its delivery is not tested here
      await transporter.sendMail(message).catch(() => undefined)
    }
  }

  /** Fills in the addresses that a world assigns: "the address of mx.bob.example". */
  function withAddresses(json: Json | undefined): unknown {
    return JSON.parse(JSON.stringify(json), (_, value) => {
      const host = /^the address of (.+)$/.exec(String(value))?.[1]
      return host === undefined ? value : world.mx(host).ipv4
    })
  }

  it('[RPT-10] sends every domain its report, even where TLS fails', () => {
    expect([...reports.keys()].sort()).toEqual(SCENES.map(({ name }) => `${name}.example`).sort())
    const inPlaintext = world.inbox.filter(({ tls }) => tls === false).map(({ mx }) => mx)
    expect(inPlaintext.sort()).toEqual([
      'mx.old.example',
      'mx.plaintext.example',
      'mx.stripped.example',
      'mx.unwilling.example',
    ])
  })

  it.each(SCENES.map(({ name }) => `${name}.example`))(
    '[RPT-3] [RPT-4] [RPT-5] [RPT-6] [RPT-15] has correct reports of %s',
    (domain) => {
      const { 'report-id': id, ...report } = reports.get(domain) ?? {}
      expect(report).toEqual(withAddresses(expected[domain]))
      expect(id).toMatch(/^[0-9a-f]{32}@sender\.example$/)
    },
  )

  it('[RPT-5] has every result type that MTA-STS can cause, and no others', () => {
    const seen = new Set([...reports.values()].flatMap((json) => valuesOf(json, 'result-type')))
    const ofDane = ['tlsa-invalid', 'dnssec-invalid', 'dane-required']
    expect([...seen].sort()).toEqual(RESULT_TYPES.filter((type) => !ofDane.includes(type)).sort())
  })

  it('[RPT-15] has reports without null or empty fields', () => {
    for (const json of reports.values()) {
      expect(JSON.stringify(json)).not.toMatch(/null|""|\[\]|\{\}/)
    }
  })

  it('[RPT-10] has no report of the sessions that carried reports', async () => {
    clock.time += DAY
    world.forget()
    expect(await reporter.sendReports()).toEqual({
      sent: 0,
      postponed: 0,
      abandoned: 0,
      unwanted: 0,
    })
    expect(world.inbox).toEqual([])
  })
})
