/**
 * Hints in the errors about policy files: common mistakes.
 *
 * @module
 */

/** Other formats that are published by mistake, with their descriptions. */
const LOOKS: ReadonlyArray<readonly [pattern: RegExp, look: string]> = [
  [/^\s*\{\\rtf/, 'RTF: save it as plain text'],
  [/^\s*<(?:!doctype|html|\?xml|head|body)/i, 'HTML'],
  [/^---[ \t]*\r?\n/, 'a page with the front matter of a site generator'],
  [/^\s*\{/, 'JSON'],
  [/^[ \t]*-[ \t]+\S/m, 'YAML with a list: write "mx: " in front of each host'],
]

export function lookOf(text: string): string | undefined {
  return LOOKS.find(([pattern]) => pattern.test(text))?.[1]
}

/** Beginnings of words written instead of a mode. */
const MODE_WORDS: ReadonlyArray<readonly [mode: string, words: RegExp]> = [
  ['enforce', /^(?:enf|inforce|live|prod|strict|on$|active|reject|require|mandatory)/],
  ['testing', /^(?:test|tset|report|audit|monitor|debug|try|dry)/],
  ['none', /^(?:no|nul|off|disable|inactive)/],
]

export function nearestMode(value: string): string | undefined {
  const word = value.toLowerCase().replace(/[^a-z]/g, '')
  return MODE_WORDS.find(([, words]) => words.test(word))?.[0]
}

export function mxHint(value: string): string {
  if (/^[a-z]+:\/\//i.test(value)) return ' (a URL: leave only its host name)'
  if (/[\s,;]/.test(value)) return ' (write "mx: " in front of each host, on a line of its own)'
  if (value.includes('@')) return ' (an address: leave only its domain)'
  return value.includes('_') ? ' (a host name has no underscore)' : ''
}
