/**
 * A reader's machine: what the programs of the pages import, and what they find when they run. The
 * Internet is a mail world, the current folder a temporary one, Redis a Map, and the console paper.
 *
 * @module
 */
import fs, { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Options } from 'mx-connect'
import nodemailer from 'nodemailer'
import SMTPConnection from 'nodemailer/lib/smtp-connection/index.js'
import { expect } from 'vitest'
import * as daneModule from '../../src/dane/index.js'
import * as core from '../../src/index.js'
import * as transports from '../../src/nodemailer/index.js'
import * as redis from '../../src/policy/stores/redis.js'
import * as sqlite from '../../src/policy/stores/sqlite.js'
import * as testing from '../../src/testing/index.js'
import * as tlsrpt from '../../src/tlsrpt/index.js'
import { mxConnectIn } from './peers.js'

/** In front of each program, for the compiler. */
export const NAMES = `
declare const world: import('mta-sts/testing').MailWorld
declare const expect: typeof import('vitest').expect
declare const check: (actual: unknown, expected: unknown) => void
declare const printed: unknown[][]
declare const commands: string[][]
`

/** A validating resolver, as the pages name it. */
const LOCAL_RESOLVER = '127.0.0.1:5353'

export class Reader implements AsyncDisposable {
  readonly modules: Readonly<Record<string, object>>
  readonly names: Readonly<Record<string, unknown>>
  /** How many comments behind lines of code were found to be true */
  checked = 0
  readonly #world: testing.MailWorld
  readonly #folder = mkdtempSync(join(tmpdir(), 'mta-sts-reader-'))

  constructor(world: testing.MailWorld) {
    this.#world = world
    const printed: unknown[][] = []
    const commands: string[][] = []
    this.modules = this.#modules(commands)
    this.names = {
      world,
      expect,
      printed,
      commands,
      console: { log: (...texts: unknown[]) => printed.push(texts), error: console.error },
      check: (actual: unknown, expected: unknown) => {
        this.checked++
        if (Array.isArray(expected)) expect(actual).toMatchObject(expected)
        else expect(actual).toBe(expected)
      },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#world.close()
    rmSync(this.#folder, { recursive: true })
  }

  #modules(commands: string[][]): Record<string, object> {
    const world = this.#world
    const here = (path: string) => join(this.#folder, path)
    // DANE brings its own resolver
    const inWorld = <T extends Pick<core.MtaStsOptions, 'dane'>>(options: T) =>
      options.dane
        ? { ...world.options(), resolver: undefined, ...options }
        : { ...world.options(), ...options }
    // The page's own server, and the system's, are that of the world
    const dnssecResolver = (options: daneModule.DnssecResolverOptions = {}) => {
      const { servers = [LOCAL_RESOLVER] } = options
      const found = servers.map((server) => (server === LOCAL_RESOLVER ? world.dns.server : server))
      return daneModule.dnssecResolver({ ...options, servers: found })
    }
    class MtaSts extends core.MtaSts {
      constructor(options: core.MtaStsOptions = {}) {
        super(inWorld(options))
      }
    }
    class TlsReporter extends tlsrpt.TlsReporter {
      constructor(options: tlsrpt.TlsReporterOptions) {
        super({ ...world.options(), ...options })
      }
    }
    class Client extends SMTPConnection {
      constructor(options: SMTPConnection.Options) {
        super({ ...options, tls: { ca: world.ca, ...options.tls } })
      }
    }
    return {
      'mta-sts': { ...core, MtaSts },
      'mta-sts/nodemailer': {
        mtaStsTransport: ({ sts, ...options }: transports.MtaStsTransportOptions = {}) =>
          transports.mtaStsTransport(sts ? { sts, ...options } : inWorld(options)),
        // Its transport has TLS options of its own, and they are told of the root
        withMtaSts: (smartHost: object, options?: object) =>
          transports.withMtaSts(
            { ...smartHost, tls: { ca: world.ca } },
            { ...world.options(), ...options },
          ),
      },
      'mta-sts/dane': {
        ...daneModule,
        dnssecResolver,
        dane: (options: daneModule.DaneOptions = {}) =>
          daneModule.dane({ resolver: dnssecResolver(), ...options }),
      },
      'mta-sts/testing': testing,
      'mta-sts/tlsrpt': {
        ...tlsrpt,
        TlsReporter,
        sqliteReportStore: (path: string) => tlsrpt.sqliteReportStore(here(path)),
      },
      'mta-sts/sqlite': { sqliteStore: (path: string) => sqlite.sqliteStore(here(path)) },
      'mta-sts/redis': redis,
      redis: { createClient: () => redisClient(commands) },
      nodemailer: { __esModule: true, default: nodemailer },
      'nodemailer/lib/smtp-connection/index.js': { __esModule: true, default: Client },
      'mx-connect': {
        __esModule: true,
        default: (options: Options) => mxConnectIn(world, options),
      },
      'node:fs': {
        readFileSync: (path: string, encoding: 'utf8') => fs.readFileSync(here(path), encoding),
        writeFileSync: (path: string, data: string) => fs.writeFileSync(here(path), data),
      },
      'node:fs/promises': { readFile: (path: string) => fs.promises.readFile(here(path)) },
    }
  }
}

/** An empty Redis that only knows GET, and writes down what it is asked. */
function redisClient(commands: string[][]) {
  return {
    on: () => undefined,
    connect: async () => undefined,
    sendCommand: async (args: string[]) => {
      commands.push(args)
      return null
    },
  }
}
