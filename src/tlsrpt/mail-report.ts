/**
 * A report by mail (RFC 8460 §5.3): a `multipart/report` for a transporter of Nodemailer, with the
 * data to sign it.
 *
 * Nodemailer would make a `multipart/mixed` of every attachment, so the message is composed here.
 *
 * @module
 */
import { createPrivateKey, type KeyLike, KeyObject, type PrivateKeyInput } from 'node:crypto'
import { toALabels } from '../dns/domain-name.js'
import { MtaStsError } from '../errors.js'
import { escapeRemoteText } from '../text.js'
import type { Reporter, ReportFile } from './report-file.js'

/** The used part of a transporter made by `nodemailer.createTransport`. */
export interface ReportTransporter {
  /** Rejects when the report was not sent; it is tried again */
  sendMail(message: ReportMail): Promise<unknown>
}

/** A report by mail (RFC 8460 §5.3), as passed to `sendMail`. */
export interface ReportMail {
  /** The whole message: a `multipart/report` */
  raw: Buffer
  /** Its sender, and its only recipient */
  envelope: { from: string; to: string[] }
  /** The same in each attempt */
  messageId: string
  /** A copy of the header field for the transport */
  headers: { 'TLS-Required': 'No' }
  /** Signature options of Nodemailer */
  dkim: { keys: PemKey[]; headerFieldNames: string }
}

/** A key that signs reports, with Nodemailer's field names. */
export interface DkimKey {
  /** The signing domain, `d=`: the domain of the `from` mailbox, or one above it */
  domainName: string
  /** The key is published at `<keySelector>._domainkey.<domainName>` */
  keySelector: string
  /** RSA, at least 1024 bits: Nodemailer supports no others */
  privateKey: KeyLike | PrivateKeyInput
}

/** One key, or several that sign each report. */
export type DkimKeys = DkimKey | { keys: DkimKey | readonly DkimKey[] }

interface PemKey extends DkimKey {
  privateKey: string
}

export interface MailSettings extends Reporter {
  /** The sender's mailbox of reports */
  from: string
  transporter: ReportTransporter
  dkim: { keys: PemKey[] }
  /** Epoch milliseconds */
  now: () => number
}

/** All fields that receivers rely on. The body is signed whole: RFC 8460 §3 forbids `l=`. */
const SIGNED_FIELDS = [
  'From',
  'To',
  'Subject',
  'Date',
  'Message-ID',
  'MIME-Version',
  'Content-Type',
  'TLS-Report-Domain',
  'TLS-Report-Submitter',
  'TLS-Required',
  'Auto-Submitted',
].join(':')

/**
 * Returns the keys that sign reports, in one form.
 *
 * @param from the sender's mailbox of reports
 * @throws TypeError that names the option: reports without a signature MUST be ignored (RFC 8460
 * §3), and Nodemailer would send them unsigned with a key that it cannot use
 */
export function checkDkim(dkim: DkimKeys | undefined, from: string): { keys: PemKey[] } {
  const given = typeof dkim === 'object' && dkim !== null ? keysOf(dkim) : []
  if (given.length === 0) throw dkimError('must hold a key to sign reports with')
  const keys = given.map((key) => checkKey(Object(key)))
  const sender = from.slice(from.lastIndexOf('@') + 1)
  if (!keys.some(({ domainName }) => isSameOrBelow(sender, domainName))) {
    throw dkimError(`must hold a key of ${sender}, the domain that reports come from`)
  }
  return { keys }
}

function keysOf(dkim: DkimKeys): readonly unknown[] {
  const keys: unknown = 'keys' in dkim ? dkim.keys : dkim
  return Array.isArray(keys) ? keys : [keys]
}

function checkKey(key: Partial<Record<keyof DkimKey, unknown>>): PemKey {
  const { domainName, keySelector, privateKey } = key
  const domain = typeof domainName === 'string' ? toALabels(domainName) : undefined
  if (domain === undefined) throw dkimError('needs a domainName, the signing domain')
  if (typeof keySelector !== 'string' || !SELECTOR.test(keySelector)) {
    throw dkimError('needs a keySelector, the name of the key in the DNS')
  }
  const pem = pemOf(privateKey)
  if (pem === undefined) throw dkimError('needs a privateKey: RSA, of 1024 bits or more, in PEM')
  return { domainName: domain, keySelector, privateKey: pem }
}

/** RFC 6376 §3.1 */
const SELECTOR = /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,252})$/

/** Converts a key to the form that all versions of Nodemailer accept. */
function pemOf(value: unknown): string | undefined {
  try {
    const key =
      value instanceof KeyObject
        ? value
        : createPrivateKey(value as Parameters<typeof createPrivateKey>[0])
    const { type, asymmetricKeyType, asymmetricKeyDetails } = key
    const large = (asymmetricKeyDetails?.modulusLength ?? 0) >= 1024 // RFC 8301 §3.2
    if (type !== 'private' || asymmetricKeyType !== 'rsa' || !large) return undefined
    return key.export({ type: 'pkcs8', format: 'pem' }).toString()
  } catch {
    return undefined
  }
}

/** Creates the error without the value, which may be a key. */
function dkimError(must: string): TypeError {
  return Object.assign(new TypeError(`The option "dkim" ${must}`), { code: 'ECONFIG' })
}

function isSameOrBelow(domain: string, parent: string): boolean {
  return domain === parent || domain.endsWith(`.${parent}`)
}

/**
 * Sends the report to one mailbox.
 *
 * @throws the error of the transporter; MtaStsError `EREPORTMAIL` when it resolves with a
 * rejected recipient
 */
export async function mailReport(
  mailbox: string,
  file: ReportFile,
  settings: MailSettings,
): Promise<void> {
  const { from, transporter, dkim } = settings
  const info = await transporter.sendMail({
    raw: composeMail(mailbox, file, settings),
    envelope: { from, to: [mailbox] },
    messageId: `<${file.report.reportId}>`,
    headers: { 'TLS-Required': 'No' },
    // A copy, which the transporter may change
    dkim: { keys: dkim.keys.map((key) => ({ ...key })), headerFieldNames: SIGNED_FIELDS },
  })
  const rejected: unknown = Object(info).rejected
  if (Array.isArray(rejected) && rejected.length > 0) {
    throw new MtaStsError('The report was rejected', 'EREPORTMAIL')
  }
}

/** Composes the message; a second copy differs only in its date. */
export function composeMail(mailbox: string, file: ReportFile, reporter: MailSettings): Buffer {
  const { domain, report, name, bytes } = file
  const { reportId } = report
  const { submitter } = reporter
  const boundary = `=_tlsrpt_${reportId.replace(/@.*/, '')}`
  const lines = [
    `From: ${reporter.from}`,
    `To: ${mailbox}`,
    `Date: ${mailDate(reporter.now())}`,
    // RFC 8460 §5.3; folded, because two domain names may exceed the line length
    `Subject: Report Domain: ${domain}`,
    ` Submitter: ${submitter}`,
    ` Report-ID: <${reportId}>`,
    `Message-ID: <${reportId}>`,
    'MIME-Version: 1.0',
    `TLS-Report-Domain: ${domain}`,
    `TLS-Report-Submitter: ${submitter}`,
    'TLS-Required: No', // RFC 8689 §3
    'Auto-Submitted: auto-generated', // RFC 3834 §5
    'Content-Type: multipart/report; report-type="tlsrpt";',
    ` boundary="${boundary}"`,
    '',
    'This is a TLS report (RFC 8460) in MIME format.',
    `--${boundary}`,
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: base64',
    '',
    ...base64Lines(Buffer.from(summaryOf(file, reporter))),
    `--${boundary}`,
    'Content-Type: application/tlsrpt+gzip',
    'Content-Transfer-Encoding: base64',
    'Content-Disposition: attachment;',
    ` filename="${name}"`,
    '',
    ...base64Lines(bytes),
    `--${boundary}--`,
    '',
  ]
  return Buffer.from(lines.join('\r\n'))
}

/** Returns the text part, for people. */
function summaryOf({ domain, report }: ReportFile, reporter: Reporter): string {
  const { start } = report.dateRange
  const lines = report.policies.flatMap((policy) => [
    `Policy ${policy.policyType}: ${policy.totalSuccessfulSessionCount} sessions succeeded, ${policy.totalFailureSessionCount} failed`,
    ...policy.failureDetails
      .slice(0, SUMMARY_LENGTH)
      .map(
        ({ resultType, receivingMxHostname: host, failedSessionCount: count }) =>
          `  ${count} ${resultType}${host === undefined ? '' : ` at ${escapeRemoteText(host)}`}`,
      ),
  ])
  return [
    `This is an aggregate TLS report about mail for ${domain},`,
    `from ${escapeRemoteText(reporter.organizationName)} (${reporter.submitter}), for the day ${start.toISOString().slice(0, 10)} (UTC).`,
    '',
    ...lines.slice(0, SUMMARY_LENGTH),
    '',
    `Questions: ${reporter.contactInfo}`,
    '',
  ].join('\r\n')
}

const SUMMARY_LENGTH = 30

/** Encodes in lines of at most 76 characters (RFC 2045 §6.8). */
function base64Lines(bytes: Buffer): string[] {
  return bytes.toString('base64').match(/.{1,76}/g) ?? []
}

/** Formats a date (RFC 5322 §3.3). */
function mailDate(time: number): string {
  return new Date(time).toUTCString().replace('GMT', '+0000')
}
