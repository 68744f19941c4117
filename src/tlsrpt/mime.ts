/**
 * As much of MIME (RFC 2045, RFC 2046) as it takes to find a report in a mail. What is not needed
 * for that is not looked at; nothing here trusts what it reads.
 *
 * @module
 */

/** A part without parts of its own. */
export interface LeafPart {
  /** Lower case, without parameters: `application/tlsrpt+gzip` */
  type: string
  /** Lower case; empty: the part has no file name */
  fileName: string
  /** Not decoded yet: one character a byte */
  content: string
  /** Lower case: `base64` */
  encoding: string
}

/** Multiparts inside of each other, and parts of one, that are looked at. */
const MAX_DEPTH = 5
const MAX_PARTS = 100

/** Headers of a part; the ones of a mail that has passed many hosts are long. */
const MAX_HEADER = 256 * 1024

/** @param text a mail or a part of one, one character a byte */
export function leafParts(text: string, depth = 0): LeafPart[] {
  const { header, body } = splitHeader(text)
  const contentType = fieldOf(header, 'content-type') || 'text/plain'
  const type = (contentType.split(';', 1)[0] ?? '').trim().toLowerCase()
  const disposition = fieldOf(header, 'content-disposition')
  if (type.startsWith('multipart/')) {
    const boundary = parameterOf(contentType, 'boundary')
    if (boundary === '' || depth >= MAX_DEPTH) return []
    return partsBetween(body, boundary).flatMap((part) => leafParts(part, depth + 1))
  }
  const given = parameterOf(disposition, 'filename') || parameterOf(contentType, 'name')
  // A long name may have been folded
  const fileName = given.replace(/\s/g, '').toLowerCase()
  const encoding = fieldOf(header, 'content-transfer-encoding').trim().toLowerCase()
  return [{ type, fileName, content: body, encoding }]
}

/** The bytes of a part. */
export function decodePart({ content, encoding }: LeafPart): Buffer {
  if (encoding === 'base64') return Buffer.from(content, 'base64')
  if (encoding !== 'quoted-printable') return Buffer.from(content, 'latin1')
  // Line by line: an expression for spaces before a line break goes over each run again and again
  const lines = content.split('\n').map((line) => line.trimEnd())
  const joined = lines.join('\r\n').replaceAll('=\r\n', '')
  const decoded = joined.replace(/=([0-9A-Fa-f]{2})/g, (_, hex) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return Buffer.from(decoded, 'latin1')
}

function splitHeader(text: string): { header: string; body: string } {
  const end = /\r?\n\r?\n/.exec(text.slice(0, MAX_HEADER))
  if (text.startsWith('\n') || text.startsWith('\r\n')) return { header: '', body: text }
  if (end === null) return { header: text.slice(0, MAX_HEADER), body: '' }
  return { header: text.slice(0, end.index), body: text.slice(end.index + end[0].length) }
}

/** The value of the first header field of this name, unfolded; empty where there is none. */
function fieldOf(header: string, name: string): string {
  const lines = header.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/)
  const line = lines.find((one) => (one.split(':', 1)[0] ?? '').trim().toLowerCase() === name)
  return line?.includes(':') ? line.slice(line.indexOf(':') + 1) : ''
}

function parameterOf(field: string, name: string): string {
  const found = new RegExp(`;\\s*${name}\\s*=\\s*(?:"([^"]*)"|([^\\s;"]+))`, 'i').exec(field)
  return found?.[1] ?? found?.[2] ?? ''
}

/** RFC 2046 §5.1.1: what stands between the lines that begin with `--` and the boundary. */
function partsBetween(body: string, boundary: string): string[] {
  const delimiter = `--${boundary}`
  const parts: string[] = []
  let start: number | undefined
  for (const line of delimiterLines(body, delimiter)) {
    if (start !== undefined) parts.push(body.slice(start, endBefore(body, line)))
    if (parts.length >= MAX_PARTS || body.startsWith('--', line + delimiter.length)) return parts
    const next = body.indexOf('\n', line)
    start = next < 0 ? body.length : next + 1
  }
  // Without its last delimiter a mail was cut; what is there may still do
  if (start !== undefined) parts.push(body.slice(start))
  return parts
}

function* delimiterLines(body: string, delimiter: string): Generator<number> {
  for (let at = body.indexOf(delimiter); at >= 0; at = body.indexOf(delimiter, at + 1)) {
    if (at === 0 || body[at - 1] === '\n') yield at
  }
}

/** The line break before a delimiter belongs to it. */
function endBefore(body: string, delimiter: number): number {
  if (body[delimiter - 2] === '\r') return delimiter - 2
  return Math.max(0, delimiter - 1)
}
