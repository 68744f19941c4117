/**
 * Errors with the fields by which ZoneMTA distinguishes a deferral from a bounce: category,
 * `temporary` and `action`. Their names do not end in "Error", so that it prints no stack.
 *
 * @module
 */
import type { DeliverySummary } from '../delivery/record.js'
import { errorText } from '../plugins/text.js'
import { errorOfThrown } from '../text.js'

export interface ZoneError extends Error {
  category: 'policy' | 'dns' | 'network'
  temporary: boolean
  action?: 'defer'
  response: string
}

/**
 * @returns an error that defers the message, unless the address or the domain is permanently wrong
 */
export function zoneError(thrown: unknown, summary?: DeliverySummary): ZoneError {
  const error = errorOfThrown(thrown)
  const text = errorText(error, summary)
  const { code, permanent } = error as { code?: unknown; permanent?: unknown }
  const isFinal = permanent === true || code === 'EDOMAIN'
  const category = CATEGORIES[String(code)] ?? (isFinal ? 'dns' : 'network')
  return Object.assign(new Error(text, { cause: error }), {
    name: 'MtaSts',
    category,
    temporary: !isFinal,
    ...(isFinal ? {} : { action: 'defer' as const }),
    response: `${PREFIX[category]}: ${text}`,
  } as const)
}

const CATEGORIES: Readonly<Record<string, ZoneError['category']>> = {
  EMTASTS: 'policy',
  EDNS: 'dns',
  ENULLMX: 'dns',
}

const PREFIX = { policy: 'Policy error', dns: 'DNS Error', network: 'Network error' } as const

/** @returns an error that defers the message because a connection may not carry it */
export function unproved(domain: string, why: string): ZoneError {
  const message = `Not delivered to ${domain}: ${why}. Nothing was sent; try again later.`
  return zoneError(Object.assign(new Error(message), { code: 'EMTASTS' }))
}
