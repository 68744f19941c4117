/**
 * The width of text on a terminal: East Asian wide characters take two columns, and marks that
 * combine with the character before them take none.
 *
 * @module
 */

/** Characters, each with its marks; an escape of `escapeRemoteText` is one, too. */
const CHARACTER = /\\u\{[0-9a-f]+\}|.[\p{Mn}\p{Me}]*/gsu

const WIDE =
  /^(?:[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation})/u

export function widthOf(text: string): number {
  // Nearly all text is of one column a character
  if (/^[ -~]*$/.test(text)) return text.length
  return charactersOf(text).reduce((sum, one) => sum + widthOfCharacter(one), 0)
}

/**
 * Divides text that is wider than the columns: after a dot or a slash where that is possible, so that
 * the labels of a name stay whole, and never within a character or an escape.
 */
export function splitAt(
  text: string,
  columns: number,
  atDots = true,
): [head: string, rest: string] {
  let head = ''
  let width = 0
  for (const character of charactersOf(text)) {
    width += widthOfCharacter(character)
    // The first one is taken even where there is no room for it: each line gets further
    if (width > columns && head !== '') break
    head += character
  }
  const dot = atDots ? Math.max(head.lastIndexOf('.'), head.lastIndexOf('/')) + 1 : 0
  const end = dot > 0 ? dot : head.length
  return [text.slice(0, end), text.slice(end)]
}

/** Returns text within the columns: the end of a longer one is cut off. */
export function shorten(text: string, columns: number): string {
  return widthOf(text) > columns ? `${splitAt(text, columns - 1, false)[0]}…` : text
}

export function padEnd(text: string, columns: number): string {
  return text + gap(text, columns)
}

export function padStart(text: string, columns: number): string {
  return gap(text, columns) + text
}

function gap(text: string, columns: number): string {
  return ' '.repeat(Math.max(0, columns - widthOf(text)))
}

function charactersOf(text: string): string[] {
  return text.match(CHARACTER) ?? []
}

function widthOfCharacter(character: string): number {
  if (character.startsWith('\\u{')) return character.length
  return WIDE.test(character) ? 2 : /^[\p{Mn}\p{Me}]/u.test(character) ? 0 : 1
}
