/**
 * The part of a plugin that does not depend on its mail server: one `MtaSts`, its stores, and the
 * reporter if reports are configured.
 *
 * @module
 */
import { BlockList } from 'node:net'
import { MtaStsError } from '../errors.js'
import type { Logger } from '../logger.js'
import { MtaSts } from '../mta-sts.js'
import type { MtaStsOptions } from '../options.js'
import type { PolicyStore } from '../policy/store.js'
import { checkOpenOptions } from '../smtp/hello.js'
import { textOfThrown } from '../text.js'
import type { TlsReporter } from '../tlsrpt/reporter.js'
import type { ReportStore } from '../tlsrpt/store.js'
import type { PluginSettings, ReportSettings } from './settings.js'
import { checkStoreCanOpen, checkStoreName, openPolicyStore, openReportStore } from './stores.js'

export interface ServiceSetup {
  settings: PluginSettings
  logger: Logger
  /** The mail server's own store, used if the settings name none */
  ownStore?: PolicyStore | undefined
}

/** The name with which an operator declines the mail server's own store. */
const NO_STORE = 'none'

/** The part of a plugin that does not depend on its mail server. */
export class PluginService {
  readonly sts: MtaSts
  readonly #ends: Array<() => unknown>

  private constructor(sts: MtaSts, ends: Array<() => unknown>) {
    this.sts = sts
    this.#ends = ends
  }

  /**
   * Checks the settings without opening anything, so that a mistake stops the server when it starts
   * and not at its first message.
   *
   * @throws an error that names the wrong setting
   */
  static check({ settings, logger, ownStore }: ServiceSetup): void {
    const { store = ownStore ? undefined : NO_STORE, reports, options, open } = settings
    if (store !== undefined && store !== NO_STORE) checkStoreName(store)
    if (reports) checkStoreName(reports.store)
    if (store === NO_STORE && options.requireStore) {
      throw new MtaStsError('requireStore needs a store, and none is configured', 'ECONFIG')
    }
    checkOpenOptions(open)
    // The store is opened later
    void new MtaSts({ ...options, requireStore: false, logger }).close()
  }

  /**
   * Checks settings that need parts of the package loaded on demand: stores, DANE and reports.
   *
   * @throws an error that names the wrong setting
   */
  static async checkRest({ settings, logger }: ServiceSetup): Promise<void> {
    const { reports, options } = settings
    for (const name of [settings.store, reports?.store]) {
      if (name !== undefined && name !== NO_STORE) await checkStoreCanOpen(name)
    }
    const sts = new MtaSts(await optionsOf(settings, logger))
    await sts.close()
    if (!reports) return
    const { memoryReportStore } = await import('../tlsrpt/memory.js')
    const store = memoryReportStore()
    const reporter = await makeReporter(reports, sts, { logger, store, ca: options.ca })
    await reporter.close()
  }

  /** @throws an error that names the wrong setting, or the store that cannot be opened */
  static async start(setup: ServiceSetup): Promise<PluginService> {
    const ends: Array<() => unknown> = []
    try {
      return new PluginService(await PluginService.#open(setup, ends), ends)
    } catch (error) {
      // Opened parts would be opened again with the next message
      await endAll(ends)
      throw error
    }
  }

  /** @param ends receives the functions that close the parts, in that order */
  static async #open(
    { settings, logger, ownStore }: ServiceSetup,
    ends: Array<() => unknown>,
  ): Promise<MtaSts> {
    const onError = (error: Error) =>
      logger.warn({ tnx: 'mta-sts', err: error }, 'Redis: %s', textOfThrown(error))
    const options = await optionsOf(settings, logger)
    const { store: name, prefix } = settings
    if (name !== undefined && name !== NO_STORE) {
      const { store, end } = await openPolicyStore({ name, prefix, onError })
      options.store = store
      ends.push(end)
    } else if (name === undefined && ownStore) {
      options.store = ownStore
    }
    const sts = new MtaSts(options)
    ends.unshift(() => sts.close())
    const { reports } = settings
    if (reports) {
      const opened = await openReportStore({ name: reports.store, onError })
      ends.push(opened.end)
      const { store } = opened
      const { ca } = settings.options
      const reporter = await makeReporter(reports, sts, { logger, store, ca })
      ends.unshift(() => reporter.close())
    }
    return sts
  }

  /** Writes the counts for reports, closes stores and connections. Never rejects. */
  async close(): Promise<void> {
    await endAll(this.#ends)
  }
}

/** Calls each of them once, even if one fails: a client of Redis cannot be ended twice. */
async function endAll(ends: ReadonlyArray<() => unknown>): Promise<void> {
  for (const end of ends) await (async () => end())().catch(() => undefined)
}

async function optionsOf(settings: PluginSettings, logger: Logger): Promise<MtaStsOptions> {
  const { dane, localMxOk } = settings
  const options: MtaStsOptions = { ...settings.options, logger }
  if (localMxOk) options.blockedAddresses = new BlockList()
  if (dane) {
    const [{ dane: makeDane }, { dnssecResolver }] = await Promise.all([
      import('../dane/create.js'),
      import('../dane/dnssec-resolver.js'),
    ])
    options.dane = makeDane({ resolver: dnssecResolver(dane) })
  }
  return options
}

async function makeReporter(
  reports: ReportSettings,
  sts: MtaSts,
  { logger, store, ca }: { logger: Logger; store: ReportStore; ca: MtaStsOptions['ca'] },
): Promise<TlsReporter> {
  const { TlsReporter: Reporter } = await import('../tlsrpt/reporter.js')
  const nodemailer = await import('nodemailer').catch((cause) => {
    throw missing('TLS reports', 'nodemailer', cause)
  })
  const { mtaStsTransport } = await import('../nodemailer/transport.js')
  const transporter = nodemailer.default.createTransport(mtaStsTransport({ sts }))
  return new Reporter({ ...reports, store, transporter, logger, ca })
}

/** Returns the error for an optional package that cannot be loaded. */
function missing(what: string, name: string, cause: unknown): MtaStsError {
  const message = `For ${what}, install the package ${name}: npm install ${name}`
  return new MtaStsError(message, 'ECONFIG', { cause })
}
