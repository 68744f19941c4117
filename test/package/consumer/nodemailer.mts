/** The same for those who have Nodemailer: its own declarations, and what they make of ours. */

import * as sts from 'mta-sts'
import * as stsTransports from 'mta-sts/nodemailer'
import type * as tlsrpt from 'mta-sts/tlsrpt'
import * as nodemailer from 'nodemailer'

const shared = new sts.MtaSts()
const stsOptions: stsTransports.StsOptions = { sts: shared, logger: true }
const options: stsTransports.MtaStsTransportOptions = { ...stsOptions, name: 'mail.sender.example' }

export const direct = nodemailer.createTransport(stsTransports.mtaStsTransport(options))
export const smart = nodemailer.createTransport(
  stsTransports.withMtaSts({ host: 'smtp.example.com', port: 587 }, stsOptions),
)
export const wrapped = stsTransports.withMtaSts(
  nodemailer.createTransport({ host: 'smtp.example.com', pool: true }),
)

export const byUrl = stsTransports.withMtaSts('smtps://user:pass@smtp.example.com')

/** What is taken from Nodemailer and given to it, whichever version its declarations are of. */
export interface Shapes {
  envelope: stsTransports.MailEnvelope
  error: stsTransports.MailError
  info: stsTransports.MailInfo
  logger: stsTransports.MailLogger
  mail: stsTransports.MailToSend
  node: stsTransports.MailNode
  transport: stsTransports.MailTransport<stsTransports.SentInfo>
  transporter: stsTransports.MailTransporter
  options: stsTransports.SmartHostOptions
}

const message = { from: 'a@b.example', to: 'c@d.example', text: 'Hello' }

export async function send(): Promise<string[]> {
  const info: stsTransports.SentInfo = await direct.sendMail(message)
  const smartInfo: stsTransports.SmartHostInfo = await smart.sendMail(message)
  const deliveries: stsTransports.DomainDelivery[] = [...info.deliveries, ...smartInfo.deliveries]
  return [...info.accepted, ...deliveries.map(({ policyDomain }) => policyDomain)]
}

/** Reports go out by the very transporter that mail goes by. */
export const transporter: tlsrpt.ReportTransporter = direct
