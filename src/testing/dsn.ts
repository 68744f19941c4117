/**
 * Delivery status notifications (RFC 3464), for the sender of a message that was not delivered.
 *
 * @module
 */
import { timers } from './timers.js'

/** A recipient that a message could not be delivered to. */
export interface FailedRecipient {
  address: string
  /** The enhanced status code */
  status: string
  /** The reply, `550 5.1.1 No such user` */
  reply: string
}

export interface Notification {
  /** The host that sends it */
  host: string
  /** The sender of the message, its recipient */
  to: string
  recipients: readonly FailedRecipient[]
  /** The message itself, whose header is returned */
  message: Buffer
}

export function notificationOf({ host, to, recipients, message }: Notification): Buffer {
  const date = timers.date(timers.now()).toUTCString().replace('GMT', '+0000')
  const boundary = `dsn-${timers.now().toString(36)}`
  const header = message.toString('latin1').split(/\r?\n\r?\n/, 1)[0] ?? ''
  const list = recipients.map(({ address, reply }) => `<${address}>: ${reply}`)
  const lines = [
    `Date: ${date}`,
    `From: Mail Delivery System <MAILER-DAEMON@${host}>`,
    `To: <${to}>`,
    'Subject: Undelivered Mail Returned to Sender',
    `Message-ID: <${boundary}.${recipients.length}@${host}>`,
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=delivery-status; boundary="${boundary}"`,
    '',
    `--${boundary}`,
    'Content-Type: text/plain; charset=utf-8',
    '',
    `This is the mail system at host ${host}.`,
    'Your message could not be delivered to one or more recipients:',
    '',
    ...list,
    '',
    `--${boundary}`,
    'Content-Type: message/delivery-status',
    '',
    `Reporting-MTA: dns; ${host}`,
    `Arrival-Date: ${date}`,
    '',
    ...recipients.flatMap(({ address, status, reply }) => [
      `Final-Recipient: rfc822; ${address}`,
      'Action: failed',
      `Status: ${status}`,
      `Diagnostic-Code: smtp; ${reply}`,
      '',
    ]),
    `--${boundary}`,
    'Content-Type: text/rfc822-headers',
    '',
    header,
    '',
    `--${boundary}--`,
    '',
  ]
  return Buffer.from(lines.join('\r\n'), 'latin1')
}
