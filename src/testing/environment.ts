/**
 * Environment variables for another process in a mail world.
 *
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ListeningPort, SmartHostOptions } from './host-api.js'

/** Result of `world.env()`. */
export interface ProcessEnvironment extends Record<string, string> {
  /** `127.0.0.1` */
  SMTP_HOST: string
  /** The number of the port */
  SMTP_PORT: string
  /** `smtp://user:pass@127.0.0.1:49152` */
  SMTP_URL: string
  /** `true` if TLS begins with the first byte */
  SMTP_SECURE: string
  /** File with the root certificate of the world, for Node, which reads it at its start */
  NODE_EXTRA_CA_CERTS: string
  /** The same file, for programs that use OpenSSL: Python, Ruby, PHP, curl */
  SSL_CERT_FILE: string
  /** Data for `mta-sts/testing/remote` */
  MTA_STS_WORLD: string
}

/** The file with the root certificate, until the world is closed. */
export class RootFile {
  #folder: string | undefined

  path(root: string): string {
    this.#folder ??= mkdtempSync(join(tmpdir(), 'mail-world-'))
    const path = join(this.#folder, 'root.pem')
    writeFileSync(path, `${root}\n`)
    return path
  }

  remove(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true })
    this.#folder = undefined
  }
}

export interface EnvironmentParts {
  port: ListeningPort
  options: SmartHostOptions
  rootFile: string
  /** Data for a process that joins the world */
  invitation: object
}

export function environment({
  port,
  options,
  rootFile,
  invitation,
}: EnvironmentParts): ProcessEnvironment {
  const [login] = [options.auth ?? []].flat()
  const { secure = options.port === 465 } = options
  return {
    SMTP_HOST: port.host,
    SMTP_PORT: String(port.port),
    SMTP_URL: port.url,
    SMTP_SECURE: String(secure),
    ...(login === undefined
      ? {}
      : { SMTP_USER: login.user, SMTP_PASS: login.pass ?? login.accessToken ?? '' }),
    NODE_EXTRA_CA_CERTS: rootFile,
    SSL_CERT_FILE: rootFile,
    MTA_STS_WORLD: JSON.stringify(invitation),
  }
}
