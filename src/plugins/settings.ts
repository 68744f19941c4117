/**
 * The settings of a mail server's plugin in its configuration file: checked, and converted to the
 * options of `MtaSts`, of connections and of reports.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { MtaStsError } from '../errors.js'
import type { MtaStsOptions } from '../options.js'
import type { Policy } from '../policy/policy-file.js'
import type { OpenOptions } from '../smtp/connection.js'
import { textOfThrown } from '../text.js'

/** A section or table of the configuration file. */
export type Section = Readonly<Record<string, unknown>>

/** The source of a plugin's settings. */
export interface SettingsSource {
  /** Names the file in messages: `config/mta-sts.ini` */
  file: string
  /** Base of relative paths in the file */
  folder: string
  main: Section
  overrides: unknown
  dane: unknown
  reports: unknown
}

/** The TLS reports that a plugin sends (RFC 8460). */
export interface ReportSettings {
  organizationName: string
  contactInfo: string
  submitter: string
  from?: string
  store: string
  days?: 'all' | 'with-failures'
  sending?: 'automatic' | 'manual'
  dkim: { domainName: string; keySelector: string; privateKey: string }
}

export interface PluginSettings {
  options: MtaStsOptions
  open: OpenOptions
  /** `sqlite:PATH`, `redis://HOST` or `none`; undefined: the server's own, if it has one */
  store?: string
  /** Prefix of all keys in Redis */
  prefix?: string
  dane?: { servers?: string[]; trustAd?: boolean; timeout?: number }
  reports?: ReportSettings
  /** Allows MX hosts at loopback and private addresses */
  localMxOk: boolean
}

type Kind = 'number' | 'flag' | 'text' | 'file' | 'list'

/** Options with a section of their own, or of a kind that a file cannot hold */
type SetOtherwise =
  | 'resolver'
  | 'store'
  | 'blockedAddresses'
  | 'overrides'
  | 'dane'
  | 'connect'
  | 'logger'
  | 'now'

const OPTIONS = {
  ca: 'file',
  minimumSecurity: 'text',
  reportOnly: 'flag',
  maxPolicies: 'number',
  maxNegatives: 'number',
  maxCacheBytes: 'number',
  maxFetches: 'number',
  requireStore: 'flag',
  fetchTimeout: 'number',
  dnsTimeout: 'number',
  recheckInterval: 'number',
  negativeTtl: 'number',
  fetchBackoff: 'number',
  refreshInterval: 'number',
  deliveryTimeout: 'number',
  port: 'number',
} as const satisfies Record<Exclude<keyof MtaStsOptions, SetOtherwise>, Kind>

const OPEN_OPTIONS = {
  name: 'text',
  connectionTimeout: 'number',
  greetingTimeout: 'number',
  commandTimeout: 'number',
} as const satisfies Partial<Record<keyof OpenOptions, Kind>>

const OWN = { store: 'text', prefix: 'text', localMxOk: 'flag' } as const

const DANE = { enabled: 'flag', servers: 'list', trustAd: 'flag', timeout: 'number' } as const

const REPORTS = {
  organizationName: 'text',
  contactInfo: 'text',
  submitter: 'text',
  from: 'text',
  store: 'text',
  days: 'text',
  sending: 'text',
  dkimSelector: 'text',
  dkimDomain: 'text',
  dkimKey: 'file',
} as const

/** @throws MtaStsError `ECONFIG` that names the file, the setting and its fault */
export function readSettings(source: SettingsSource): PluginSettings {
  const read = new Reader(source)
  const main = read.section('main', { ...OPTIONS, ...OPEN_OPTIONS, ...OWN })
  const dane = read.section('dane', DANE)
  const { enabled: daneEnabled, ...resolver } = dane
  if (daneEnabled === undefined && Object.keys(dane).length > 0) {
    throw read.error('dane', 'needs enabled, true or false')
  }
  const reports = reportSettings(read)
  const { store, prefix } = main
  return {
    options: {
      ...pick(main, OPTIONS),
      overrides: read.overrides(),
    } as MtaStsOptions,
    open: pick(main, OPEN_OPTIONS),
    localMxOk: main.localMxOk === true,
    ...(typeof store === 'string' ? { store } : {}),
    ...(typeof prefix === 'string' ? { prefix } : {}),
    ...(daneEnabled ? { dane: resolver } : {}),
    ...(reports ? { reports } : {}),
  }
}

function reportSettings(read: Reader): ReportSettings | undefined {
  const found = read.section('reports', REPORTS)
  if (Object.keys(found).length === 0) return undefined
  const need = (key: keyof typeof REPORTS): string => {
    const value = found[key]
    if (typeof value === 'string') return value
    throw read.error('reports', `needs ${key}`)
  }
  const submitter = need('submitter')
  const { dkimDomain = submitter, from, days, sending } = found
  return {
    organizationName: need('organizationName'),
    contactInfo: need('contactInfo'),
    submitter,
    store: need('store'),
    dkim: {
      domainName: String(dkimDomain),
      keySelector: need('dkimSelector'),
      privateKey: need('dkimKey'),
    },
    ...(from === undefined ? {} : { from }),
    ...(days === undefined ? {} : { days: days as 'all' }),
    ...(sending === undefined ? {} : { sending: sending as 'automatic' }),
  }
}

type ValueOf<K extends Kind> = K extends 'number'
  ? number
  : K extends 'flag'
    ? boolean
    : K extends 'list'
      ? string[]
      : string

type Values<T extends Readonly<Record<string, Kind>>> = { -readonly [K in keyof T]?: ValueOf<T[K]> }

class Reader {
  readonly #source: SettingsSource

  constructor(source: SettingsSource) {
    this.#source = source
  }

  /** Reads a section; `minimum_security` is the same setting as `minimumSecurity`. */
  section<T extends Readonly<Record<string, Kind>>>(
    name: 'main' | 'dane' | 'reports',
    kinds: T,
  ): Values<T> {
    const known = new Map(Object.keys(kinds).map((key) => [plain(key), key]))
    const found: Record<string, unknown> = {}
    for (const [given, value] of Object.entries(this.#section(name))) {
      if (value === undefined || value === null || value === '') continue
      const key = known.get(plain(given))
      const kind = key === undefined ? undefined : kinds[key]
      if (key === undefined || kind === undefined) {
        const list = Object.keys(kinds).join(', ')
        throw this.error(name, `has no setting "${given}". Known settings: ${list}`)
      }
      found[key] = this.#value(value, kind, { section: name, key: given })
    }
    return found as Values<T>
  }

  /** A missing section, or `false`, is empty. */
  #section(name: 'main' | 'overrides' | 'dane' | 'reports'): Section {
    const found = this.#source[name] || {}
    if (typeof found === 'object' && !Array.isArray(found)) return found as Section
    throw this.error(name, 'must have settings, each with its name')
  }

  /** Reads domains with `off`, or a pinned policy where the format of the file allows one. */
  overrides(): NonNullable<MtaStsOptions['overrides']> {
    const found: NonNullable<MtaStsOptions['overrides']> = {}
    for (const [domain, value] of Object.entries(this.#section('overrides'))) {
      if (value === 'off' || value === false) found[domain] = 'off'
      else if (typeof value === 'object' && value !== null) found[domain] = value as Policy
      else throw this.error('overrides', `takes "off" for ${domain}, not "${String(value)}"`)
    }
    return found
  }

  error(section: string, what: string, cause?: unknown): MtaStsError {
    const message = `${this.#source.file}: [${section}] ${what}`
    return new MtaStsError(message, 'ECONFIG', cause === undefined ? undefined : { cause })
  }

  #value(value: unknown, kind: Kind, at: { section: string; key: string }): unknown {
    const text = String(value).trim()
    switch (kind) {
      case 'number':
        if (/^\d+$/.test(text)) return Number(text)
        throw this.error(at.section, `${at.key} must be a whole number, not "${text}"`)
      case 'flag':
        if (/^(?:true|yes|on|1)$/i.test(text)) return true
        if (/^(?:false|no|off|0)$/i.test(text)) return false
        throw this.error(at.section, `${at.key} must be true or false, not "${text}"`)
      case 'list':
        return (Array.isArray(value) ? value.map(String) : text.split(/[\s,]+/)).filter(Boolean)
      case 'file':
        return this.#file(text, at)
      case 'text':
        return text
    }
  }

  #file(text: string, { section, key }: { section: string; key: string }): string {
    if (text.startsWith('-----BEGIN ')) return text
    const path = resolve(this.#source.folder, text)
    try {
      return readFileSync(path, 'utf8')
    } catch (cause) {
      const why = textOfThrown(cause)
      throw this.error(section, `${key}: the file ${path} cannot be read (${why})`, cause)
    }
  }
}

function plain(key: string): string {
  return key.replace(/[_-]/g, '').toLowerCase()
}

function pick<T extends object>(from: Readonly<Record<string, unknown>>, keys: T) {
  return Object.fromEntries(
    Object.keys(keys)
      .filter((key) => from[key] !== undefined)
      .map((key) => [key, from[key]]),
  )
}
