/**
 * The packages that only a mail world needs. They are optional peers of `mta-sts`; when one of them
 * is missing, the error says what to install.
 *
 * @module
 */
import { MtaStsError } from '../errors.js'

export type DnsPacket = typeof import('dns-packet')
export type SmtpServerClass = typeof import('smtp-server').SMTPServer
export type SmtpConnectionClass =
  typeof import('smtp-server/lib/smtp-connection.js')['SMTPConnection']

export interface Peers {
  dnsPacket: DnsPacket
  SMTPServer: SmtpServerClass
  SMTPConnection: SmtpConnectionClass
}

/** Written out, one by one: what is imported by a variable is lost on whoever bundles this. */
const IMPORTS = {
  'dns-packet': () => import('dns-packet'),
  'smtp-server': () => import('smtp-server'),
  'smtp-server/lib/smtp-connection.js': () => import('smtp-server/lib/smtp-connection.js'),
}

export type Imports = typeof IMPORTS

/** Rejects with an `MtaStsError` of code `EPEER` when one of them is not installed. */
export async function loadPeers(imports: Imports = IMPORTS): Promise<Peers> {
  const [{ SMTPServer }, { SMTPConnection }, dnsPacket] = await Promise.all([
    peer('smtp-server', imports),
    peer('smtp-server/lib/smtp-connection.js', imports),
    peer('dns-packet', imports),
  ])
  return { dnsPacket, SMTPServer, SMTPConnection }
}

async function peer<Id extends keyof Imports>(
  id: Id,
  imports: Imports,
): Promise<Awaited<ReturnType<Imports[Id]>>>
async function peer(id: keyof Imports, imports: Imports): Promise<unknown> {
  try {
    return await imports[id]()
  } catch (cause) {
    if (!isMissing(cause)) throw cause
    throw new MtaStsError(
      `mta-sts/testing needs the package ${id.replace(/\/lib\/.*/, '')}. ` +
        'Install what it is made of: npm install --save-dev smtp-server dns-packet',
      'EPEER',
      { cause },
    )
  }
}

const MISSING = ['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND', 'ERR_PACKAGE_PATH_NOT_EXPORTED']

function isMissing(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('code' in error)) return false
  return MISSING.includes(String(error.code))
}
