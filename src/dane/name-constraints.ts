/**
 * Name constraints (RFC 5280 §4.2.1.10): the names that an issuer may certify.
 *
 * @module
 */
import type { CertificateFields, Der } from './x509-der.js'
import { readAll, readOid, readOnly, TAG } from './x509-der.js'

/** Tags of a GeneralName (RFC 5280 §4.2.1.6) */
const NAME = { dns: 0x82, directory: 0xa4, address: 0x87 } as const

const PERMITTED = 0xa0
const EXCLUDED = 0xa1

const SUBJECT_ALT_NAME = '2.5.29.17'
const COMMON_NAME = '2.5.4.3'

/**
 * Returns the names of a certificate that constraints apply to: its alternative names, its subject
 * unless empty, and, without a DNS name, its common names, which replace it.
 */
export function namesOf({ extensions, subject }: CertificateFields): Der[] {
  const extension = extensions.get(SUBJECT_ALT_NAME)
  const names = extension ? readAll(readOnly(extension.value, TAG.sequence).value) : []
  const attributes = readAll(readOnly(subject, TAG.sequence).value)
  if (attributes.length === 0) return names
  const directory = { tag: NAME.directory, raw: subject, value: subject }
  const common = names.some(({ tag }) => tag === NAME.dns) ? [] : commonNames(attributes)
  return [...names, directory, ...common]
}

function commonNames(attributes: readonly Der[]): Der[] {
  const pairs = attributes.flatMap(({ value }) => readAll(value)).map(({ value }) => readAll(value))
  return pairs.flatMap(([type, text]) =>
    text !== undefined && readOid(type) === COMMON_NAME && isDnsLike(text)
      ? [{ ...text, tag: NAME.dns }]
      : [],
  )
}

/** Whether a common name can be a host name, unlike "Example Ltd.". */
function isDnsLike({ value }: Der): boolean {
  return /^[\w*-]+(?:\.[\w-]+)+\.?$/.test(textOf(value))
}

/**
 * Whether every name is permitted and none excluded. Forms of names without a constraint are free;
 * a form that has one but cannot be compared here is refused.
 */
export function isWithinConstraints(constraints: Uint8Array, names: readonly Der[]): boolean {
  const parts = readAll(readOnly(constraints, TAG.sequence).value)
  const permitted = subtrees(parts.find(({ tag }) => tag === PERMITTED))
  const excluded = subtrees(parts.find(({ tag }) => tag === EXCLUDED))
  return names.every((name) => {
    const sameForm = ({ tag }: Der) => tag === name.tag
    const allowing = permitted.filter(sameForm)
    const forbidding = excluded.filter(sameForm)
    if (allowing.length === 0 && forbidding.length === 0) return true
    const isWithin = COMPARE.get(name.tag)
    if (isWithin === undefined) return false
    const base = (tree: Der) => isWithin(name.value, tree.value)
    return (allowing.length === 0 || allowing.some(base)) && !forbidding.some(base)
  })
}

/** Returns the subtrees, without `minimum` and `maximum`, which RFC 5280 does not use. */
function subtrees(trees: Der | undefined): Der[] {
  if (trees === undefined) return []
  return readAll(trees.value).map(({ value }) => {
    const [base] = readAll(value)
    if (base === undefined) throw new TypeError('a subtree without a base')
    return base
  })
}

const COMPARE: ReadonlyMap<number, (name: Uint8Array, base: Uint8Array) => boolean> = new Map([
  [NAME.dns, isDnsWithin],
  [NAME.directory, isDirectoryWithin],
  [NAME.address, isAddressWithin],
])

/**
 * Whether a name is the base or below it. An empty base includes all names, `.example.com` only
 * those below.
 */
function isDnsWithin(name: Uint8Array, base: Uint8Array): boolean {
  const text = textOf(name).toLowerCase().replace(/\.$/, '')
  const root = textOf(base).toLowerCase()
  if (root === '' || text === root) return true
  return text.endsWith(root.startsWith('.') ? root : `.${root}`)
}

/** Whether the name begins with the relative names of the base. */
function isDirectoryWithin(name: Uint8Array, base: Uint8Array): boolean {
  const all = relativeNames(name)
  return relativeNames(base).every((relative, index) => relative === all[index])
}

/** Returns each relative name in one form for all string types, without case (RFC 5280 §7.1). */
function relativeNames(name: Uint8Array): string[] {
  return readAll(readOnly(name, TAG.sequence).value).map(({ value }) =>
    readAll(value).map(attribute).join('+'),
  )
}

function attribute({ value }: Der): string {
  const [type, text] = readAll(value)
  if (text === undefined) throw new TypeError('an attribute without a value')
  const isText = STRING_TYPES.includes(text.tag)
  const shown = isText
    ? Buffer.from(text.value).toString('utf8').trim().replace(/\s+/g, ' ').toLowerCase()
    : Buffer.from(text.raw).toString('hex')
  return `${readOid(type)}=${shown}`
}

/** UTF8String, PrintableString, IA5String */
const STRING_TYPES = [0x0c, 0x13, 0x16]

/** Compares with a base of an address and a mask of the same length. */
function isAddressWithin(address: Uint8Array, base: Uint8Array): boolean {
  if (base.length !== 2 * address.length) return false
  return address.every((byte, index) => {
    const mask = base[address.length + index] ?? 0xff
    return (byte & mask) === ((base[index] ?? 0) & mask)
  })
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}
