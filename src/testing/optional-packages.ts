/**
 * The packages of a mail world: optional peers of `mta-sts`. The error for a missing one says what
 * to install.
 *
 * @module
 */
import { isMissingPackage, MtaStsError } from '../errors.js'

export type DnsPacket = typeof import('dns-packet')
export type SmtpServerClass = typeof import('smtp-server').SMTPServer
export type SmtpConnectionClass =
  typeof import('smtp-server/lib/smtp-connection.js')['SMTPConnection']

/** Of `postal-mime`. */
export type Parser = (bytes: Uint8Array) => Promise<import('postal-mime').Email>

export interface Peers {
  /** Undefined without postal-mime: messages then cannot be read */
  parser: Parser | undefined
  dnsPacket: DnsPacket
  SMTPServer: SmtpServerClass
  SMTPConnection: SmtpConnectionClass
}

/** Written out: a bundler does not find an import of a variable. */
const IMPORTS = {
  'dns-packet': () => import('dns-packet'),
  'postal-mime': () => import('postal-mime'),
  'smtp-server': () => import('smtp-server'),
  'smtp-server/lib/smtp-connection.js': () => import('smtp-server/lib/smtp-connection.js'),
}

/** The needed packages, and the optional parser. */
export type Imports = Omit<typeof IMPORTS, 'postal-mime'> &
  Partial<Pick<typeof IMPORTS, 'postal-mime'>>

/** Rejects with an `MtaStsError` of code `EPEER` when one of them is not installed. */
export async function loadPeers(imports: Imports = IMPORTS): Promise<Peers> {
  const [parser, { SMTPServer }, { SMTPConnection }, dnsPacket] = await Promise.all([
    loadParser(imports),
    peer('smtp-server', imports),
    peer('smtp-server/lib/smtp-connection.js', imports),
    peer('dns-packet', imports),
  ])
  return { parser, dnsPacket, SMTPServer, SMTPConnection }
}

async function loadParser(imports: Imports): Promise<Parser | undefined> {
  try {
    const { default: PostalMime } = (await imports['postal-mime']?.()) ?? {}
    return PostalMime && ((bytes) => PostalMime.parse(bytes))
  } catch (error) {
    if (isMissingPackage(error)) return undefined
    throw error
  }
}

async function peer<Id extends Exclude<keyof Imports, 'postal-mime'>>(
  id: Id,
  imports: Imports,
): Promise<Awaited<ReturnType<Imports[Id]>>>
async function peer(id: Exclude<keyof Imports, 'postal-mime'>, imports: Imports): Promise<unknown> {
  try {
    return await imports[id]()
  } catch (cause) {
    if (!isMissingPackage(cause)) throw cause
    throw new MtaStsError(
      `mta-sts/testing needs the package ${id.replace(/\/lib\/.*/, '')}. ` +
        'Install what it is made of: npm install --save-dev smtp-server dns-packet',
      'EPEER',
      { cause },
    )
  }
}
