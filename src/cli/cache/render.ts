/**
 * The entries of a store, as text.
 *
 * @module
 */
import { escapeRemoteText } from '../../text.js'
import { type Column, formatTable } from '../layout.js'
import { escapePolicyLine } from '../patterns.js'
import { minute, span } from '../time.js'
import type { Entry } from './entries.js'

const COLUMNS: readonly Column[] = [
  { title: 'Mode', width: 7 },
  { title: 'Since (UTC)', width: 16 },
  { title: 'Until', width: 16 },
]

/** Columns of the domains on a narrow screen, and of the others with the space between them. */
const DOMAIN = 34
const OTHERS = 46

export function renderList(entries: readonly Entry[], width: number): string {
  if (entries.length === 0) return 'No policy is cached.\n'
  const rows = entries.map(({ domain, mode, fetchedAt, expiresAt, expired }) => [
    escapeRemoteText(domain),
    mode ?? 'broken',
    minute(new Date(fetchedAt)),
    expired ? 'expired' : minute(new Date(expiresAt)),
  ])
  // Not as arguments of one call: a store may have a hundred thousand of them
  const longest = rows.reduce((most, [domain = '']) => Math.max(most, domain.length), 0)
  const domain = Math.max(DOMAIN, Math.min(longest, width - OTHERS))
  const columns = [{ title: 'Domain', width: domain }, ...COLUMNS]
  return `${formatTable(columns, rows, width).join('\n')}\n`
}

export function renderEntry(entry: Entry, now: number): string {
  const expiresAt = new Date(entry.expiresAt)
  const left = expiresAt.getTime() - now
  const until = entry.expired ? `expired ${span(-left)} ago` : `${span(left)} left`
  const lines = entry.body.split(/\r?\n/).map(escapePolicyLine)
  return [
    entry.domain,
    '',
    `Id         ${escapeRemoteText(entry.id)}`,
    `Since      ${minute(new Date(entry.fetchedAt))} UTC`,
    `Until      ${minute(expiresAt)} UTC, ${until}`,
    `Last used  ${minute(new Date(entry.usedAt))} UTC`,
    '',
    ...(lines.at(-1) === '' ? lines.slice(0, -1) : lines),
    '',
  ].join('\n')
}
