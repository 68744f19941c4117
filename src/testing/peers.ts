/**
 * The packages that only a mail world needs. They are optional peers of `mta-sts`: loaded when a
 * world is made, and when one is missing the error says what to install.
 *
 * @module
 */
import { createRequire } from 'node:module'
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

/** `require`, not `import()`: jest without its module flag can only do the former. */
const requirePeer = createRequire(typeof __filename === 'string' ? __filename : import.meta.url)

/** Throws an `MtaStsError` with code `EPEER` when one of them is not installed. */
export function loadPeers(load: (id: string) => unknown = requirePeer): Peers {
  const dnsPacket = peer('dns-packet', load) as DnsPacket
  const { SMTPServer } = peer('smtp-server', load) as { SMTPServer: SmtpServerClass }
  const { SMTPConnection } = peer('smtp-server/lib/smtp-connection.js', load) as {
    SMTPConnection: SmtpConnectionClass
  }
  const x509 = withReflectMetadata(() => peer('@peculiar/x509', load) as X509)
  return { x509, dnsPacket, SMTPServer, SMTPConnection }
}

function peer(id: string, load: (id: string) => unknown): unknown {
  try {
    return load(id)
  } catch (cause) {
    if (!isMissing(cause)) throw cause
    throw new MtaStsError(
      `mta-sts/testing needs the package ${id.replace('/lib/smtp-connection.js', '')}. ` +
        'Install what it is made of: npm install --save-dev smtp-server @peculiar/x509 dns-packet',
      'EPEER',
      { cause },
    )
  }
}

function isMissing(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('code' in error)) return false
  return error.code === 'MODULE_NOT_FOUND' || error.code === 'ERR_PACKAGE_PATH_NOT_EXPORTED'
}

const METADATA_FUNCTIONS = ['getMetadata', 'getOwnMetadata', 'defineMetadata'] as const

/**
 * `@peculiar/x509` brings `tsyringe`, which refuses to load unless a polyfill of decorator metadata
 * is there, and then finds no metadata to read. Rather than ask users for one more package, the
 * three functions are lent for as long as `require` takes, and taken back: a test suite that loads
 * the real `reflect-metadata` afterwards must not find them.
 */
function withReflectMetadata<T>(load: () => T): T {
  if ('getMetadata' in Reflect) return load()
  for (const name of METADATA_FUNCTIONS) {
    Object.defineProperty(Reflect, name, { value: () => undefined, configurable: true })
  }
  try {
    return load()
  } finally {
    for (const name of METADATA_FUNCTIONS) Reflect.deleteProperty(Reflect, name)
  }
}
