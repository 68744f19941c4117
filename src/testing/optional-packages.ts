/**
 * The packages that only a mail world needs. They are optional peers of `mta-sts`; when one of them
 * is missing, the error says what to install.
 *
 * @module
 */
import { MtaStsError } from '../errors.js'

export type X509 = typeof import('@peculiar/x509')
export type DnsPacket = typeof import('dns-packet')
export type SmtpServerClass = typeof import('smtp-server').SMTPServer
export type SmtpConnectionClass =
  typeof import('smtp-server/lib/smtp-connection.js')['SMTPConnection']

export interface Peers {
  x509: X509
  dnsPacket: DnsPacket
  SMTPServer: SmtpServerClass
  SMTPConnection: SmtpConnectionClass
}

/** Written out, one by one: what is imported by a variable is lost on whoever bundles this. */
const IMPORTS = {
  'dns-packet': () => import('dns-packet'),
  'smtp-server': () => import('smtp-server'),
  'smtp-server/lib/smtp-connection.js': () => import('smtp-server/lib/smtp-connection.js'),
  '@peculiar/x509': () => import('@peculiar/x509'),
}

export type Imports = typeof IMPORTS

/** Rejects with an `MtaStsError` of code `EPEER` when one of them is not installed. */
export async function loadPeers(imports: Imports = IMPORTS): Promise<Peers> {
  const x509 = await withReflectMetadata(() => peer('@peculiar/x509', imports))
  const { SMTPServer } = await peer('smtp-server', imports)
  const { SMTPConnection } = await peer('smtp-server/lib/smtp-connection.js', imports)
  return { x509, dnsPacket: await peer('dns-packet', imports), SMTPServer, SMTPConnection }
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
        'Install what it is made of: npm install --save-dev smtp-server @peculiar/x509 dns-packet',
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

const METADATA_FUNCTIONS = ['getMetadata', 'getOwnMetadata', 'defineMetadata']

const noMetadata = (): undefined => undefined

/**
 * `@peculiar/x509` brings `tsyringe`, which refuses to load unless a polyfill of decorator metadata
 * is there, and then finds no metadata to read. Rather than ask users for one more package, the
 * three functions are lent while it loads, and taken back: a program that brings the real
 * `reflect-metadata` must not find them.
 */
async function withReflectMetadata<T>(load: () => Promise<T>): Promise<T> {
  if ('getMetadata' in Reflect) return load()
  for (const name of METADATA_FUNCTIONS) {
    Object.defineProperty(Reflect, name, { value: noMetadata, configurable: true, writable: true })
  }
  try {
    return await load()
  } finally {
    for (const name of METADATA_FUNCTIONS) {
      if (Reflect.get(Reflect, name) === noMetadata) Reflect.deleteProperty(Reflect, name)
    }
  }
}
