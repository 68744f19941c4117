/**
 * The plugin itself: settings, the one hook, and the one wrapped function of Haraka.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { format } from 'node:util'
import type { DeliverySummary } from '../delivery/record.js'
import { MtaStsError } from '../errors.js'
import type { Logger } from '../logger.js'
import { describeDelivery, isRemarkable } from '../plugins/account.js'
import { PluginService, type ServiceSetup } from '../plugins/service.js'
import { readSettings } from '../plugins/settings.js'
import { textOfThrown } from '../text.js'
import { HarakaDelivery, type Offer, watch } from './delivery.js'
import {
  type GetClient,
  type HarakaHost,
  type HarakaMx,
  type HarakaPlugin,
  type HMail,
  knownHost,
} from './host.js'

/** Haraka's `OK`, of haraka-constants */
const OK = 906

const FILE = 'mta-sts.ini'
const HOOK = 'mta_sts_get_mx'
/** After every plugin that chooses hosts for messages */
const LATE = 90

/** Marks the wrapped function, so that a second line in config/plugins is noticed. */
const WRAPPED = Symbol.for('mta-sts.haraka')

/**
 * Registers the plugin with Haraka, which calls this with the plugin as `this`.
 *
 * @throws MtaStsError that names the fault in the settings, or in this Haraka; Haraka stops
 */
export function register(this: object): void {
  const plugin = this as HarakaPlugin
  const host = knownHost(plugin)
  if (WRAPPED in host.pool.get_client) {
    throw new MtaStsError('config/plugins names mta-sts more than once: keep one line', 'ECONFIG')
  }
  const setup: ServiceSetup = { settings: settingsOf(plugin, host), logger: loggerOf(plugin) }
  const service = new LateService(setup, plugin)
  const offers = new WeakMap<HarakaMx, Offer>()
  host.pool.get_client = offering(host.pool.get_client, offers)
  plugin[HOOK] = (next: (code: number, mx: HarakaMx[]) => void, hmail: HMail) => {
    service.get().then(
      ({ sts }) => {
        const onEnd = (summary: DeliverySummary) => report(plugin, hmail, summary)
        const { open } = setup.settings
        new HarakaDelivery(hmail, { host, sts, offers, open, onEnd }).attach()
        next(OK, [])
      },
      (error) => {
        plugin.logerror(`not started: ${textOfThrown(error)}`)
        // An empty list is a deferral; any other result could make Haraka deliver by itself
        next(OK, [])
      },
    )
  }
  plugin.register_hook('get_mx', HOOK, LATE)
  plugin.shutdown = () => void service.close()
}

function settingsOf(plugin: HarakaPlugin, host: HarakaHost) {
  const folder = process.env.HARAKA ?? process.cwd()
  checkFile(join(folder, 'config', FILE))
  const config = plugin.config.get(FILE)
  const { main = {}, overrides = {}, dane = {}, reports = {}, ...others } = config
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) {
    throw new MtaStsError(
      `config/${FILE}: unknown section [${unknown}]. Known sections: [overrides], [dane], [reports]`,
      'ECONFIG',
    )
  }
  const file = `config/${FILE}`
  const settings = readSettings({ file, folder, main, overrides, dane, reports })
  return { ...settings, localMxOk: settings.localMxOk || host.outbound().local_mx_ok === true }
}

/** A comment, a section, or a setting: Haraka skips every other line. */
const LINE = /^\s*(?:[;#].*|\[[^\]]*\]\s*|[\w@:./[\]-]+\s*=.*)?$/

/** @throws MtaStsError for a file, or a line of it, that Haraka would only log and skip */
function checkFile(path: string): void {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return
    throw new MtaStsError(`${path} cannot be read: ${textOfThrown(cause)}`, 'ECONFIG', { cause })
  }
  // A backslash at its end joins a line with the next one
  const lines = text.replace(/\\[ \t]*(?:\r\n?|\n)/g, ' ').split(/\r\n?|\n/)
  const wrong = lines.findIndex((line) => !LINE.test(line))
  if (wrong < 0) return
  const at = `config/${FILE}: line ${wrong + 1}`
  throw new MtaStsError(`${at} is neither [section], name=value nor a comment`, 'ECONFIG')
}

/**
 * Starts at the first message: in a cluster, the master also loads plugins, but sends no mail.
 * Settings are checked at once.
 */
class LateService {
  readonly #setup: ServiceSetup
  #service: Promise<PluginService> | undefined

  constructor(setup: ServiceSetup, plugin: HarakaPlugin) {
    this.#setup = setup
    PluginService.check(setup)
    // A mistake in a part loaded on demand stops Haraka a moment later
    PluginService.checkRest(setup).catch((error) => {
      plugin.logerror(`Haraka stops: ${textOfThrown(error)}`)
      setImmediate(() => {
        throw error
      })
    })
  }

  get(): Promise<PluginService> {
    // A store that could not be opened may be available at the next message
    this.#service ??= PluginService.start(this.#setup).catch((error) => {
      this.#service = undefined
      throw error
    })
    return this.#service
  }

  async close(): Promise<void> {
    await this.#service?.then((service) => service.close()).catch(() => undefined)
  }
}

/** Wraps `get_client`: gives Haraka the socket of a connection that was opened for this MX host. */
function offering(original: GetClient, offers: WeakMap<HarakaMx, Offer>): GetClient {
  const getClient: GetClient = function (this: unknown, mx, callback) {
    const offer = offers.get(mx)
    if (!offer) return Reflect.apply(original, this, [mx, callback])
    const { socket } = offer
    offer.take()
    if (socket) {
      callback(null, socket)
      socket.start()
      return
    }
    const watched: typeof callback = (error, own) => {
      if (own) watch(own, offer)
      callback(error, own)
    }
    Reflect.apply(original, this, [mx, watched])
  }
  return Object.assign(getClient, { [WRAPPED]: true })
}

function report(plugin: HarakaPlugin, hmail: HMail, summary: DeliverySummary): void {
  Object.assign(hmail.notes, { mta_sts: summary })
  const text = describeDelivery(summary)
  const { uuid = '-' } = hmail.todo
  if (isRemarkable(summary)) plugin.lognotice(text, { uuid })
  else plugin.loginfo(text, { uuid })
}

function loggerOf(plugin: HarakaPlugin): Logger {
  const log =
    (level: 'logdebug' | 'loginfo' | 'logwarn' | 'logerror') =>
    (_entry: object, message: string, ...args: unknown[]) =>
      plugin[level](format(message, ...args))
  return {
    debug: log('logdebug'),
    info: log('loginfo'),
    warn: log('logwarn'),
    error: log('logerror'),
  }
}
