/**
 * Links and codes in the text of a message.
 *
 * @module
 */

const URL_IN_TEXT = /https?:\/\/[^\s<>"'`]+/gi
const HREF = /<(?:a|area|link)\b[^>]*?\shref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))/gi
const ENTITIES: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&#38;': '&',
  '&#x26;': '&',
  '&quot;': '"',
  '&#39;': "'",
  '&lt;': '<',
  '&gt;': '>',
  '&#61;': '=',
  '&#x3d;': '=',
}

/** Returns every web address, those of HTML first, each once. */
export function linksIn({
  html = '',
  text = '',
}: {
  html?: string | undefined
  text?: string | undefined
}): URL[] {
  const hrefs = [...html.matchAll(HREF)].map(([, a, b, c]) => decoded(a ?? b ?? c ?? ''))
  const plain = [...text.matchAll(URL_IN_TEXT)].map(([url]) => withoutEnd(url))
  const links = new Map<string, URL>()
  for (const href of [...hrefs, ...plain]) {
    if (!/^https?:/i.test(href) || !URL.canParse(href)) continue
    const url = new URL(href)
    links.set(url.href, url)
  }
  return [...links.values()]
}

/** Returns a code near a word such as "code", or else one of six digits. */
export function codeIn(texts: readonly (string | undefined)[]): string | undefined {
  const lines = texts.flatMap((text) => (text ?? '').replace(URL_IN_TEXT, '').split('\n'))
  const near = lines.flatMap((line, index) =>
    /\b(?:code|pin|otp|passcode|token|password)\b/i.test(line)
      ? [line, lines[index + 1] ?? '', lines[index + 2] ?? '']
      : [],
  )
  return firstCode(near, /\b\d{4,8}\b|\b\d{3}[ -]\d{3}\b/) ?? firstCode(lines, /\b\d{6}\b/)
}

function firstCode(lines: readonly string[], pattern: RegExp): string | undefined {
  for (const line of lines) {
    const [code] = pattern.exec(line) ?? []
    if (code !== undefined) return code.replace(/[ -]/g, '')
  }
  return undefined
}

/** Removes the punctuation behind a link. */
function withoutEnd(url: string): string {
  const end = url.replace(/[.,;:!?]+$/, '')
  return end.endsWith(')') && !end.includes('(') ? end.slice(0, -1) : end
}

function decoded(text: string): string {
  return text
    .trim()
    .replace(/&(?:#x?[\da-f]+|\w+);/gi, (entity) => ENTITIES[entity.toLowerCase()] ?? entity)
}
