/**
 * The TXT record at `_mta-sts.` + Policy Domain (RFC 8461 §3.1). It announces a policy; its id
 * changes with the policy:
 *
 * v=STSv1; id=20160831085700Z;
 *
 * @module
 */
import {
  checkRecords,
  checkText,
  type Field,
  fieldProblem,
  firstOfEach,
  parseTagList,
  selectRecords,
} from '../dns/txt-record.js'
import { RecordSyntaxError } from '../errors.js'
import { argumentError } from '../option-checks.js'
import { escapeRemoteText } from '../text.js'

/** The TXT record at `_mta-sts.` + Policy Domain (RFC 8461 §3.1), parsed. */
export interface StsRecord {
  /** The only defined version */
  version: 'STSv1'
  /** 1 to 32 letters and digits. A new id announces a new policy; ids have no order. */
  id: string
  /** Fields that RFC 8461 does not define, in record order; omitted if there are none */
  extensions?: readonly Field[]
}

/** The finding in a TXT answer: see {@link examineRecords}. */
export type RecordFinding =
  | { kind: 'one'; record: StsRecord }
  | { kind: 'none' }
  | { kind: 'several'; count: number }
  | { kind: 'malformed'; error: RecordSyntaxError }

const VERSION = 'STSv1'
const ID = /^[A-Za-z0-9]{1,32}$/
const ID_RULE = 'must be 1 to 32 letters and digits'

/**
 * Reads one record whose strings are already joined.
 *
 * ```ts
 * parseRecord('v=STSv1; id=20160831085700Z;').id // '20160831085700Z'
 * ```
 *
 * @throws RecordSyntaxError
 */
export function parseRecord(txt: string): StsRecord {
  checkText('parseRecord()', txt)
  const fields = firstOfEach(parseTagList(txt, { version: VERSION }))
  const id = fields.find(({ name }) => name === 'id')?.value
  if (id === undefined) {
    throw new RecordSyntaxError(
      `The MTA-STS record has no id, which ${ID_RULE}: "${escapeRemoteText(txt)}"`,
    )
  }
  checkId(id)
  const extensions = fields.filter(({ name }) => !isDefined(name))
  return { version: VERSION, id, ...(extensions.length > 0 ? { extensions } : {}) }
}

/**
 * Returns the record of a TXT answer, in the shape of `resolveTxt` of `node:dns`: undefined unless
 * it has exactly one record of this version, and that one is well formed.
 */
export function selectRecord(rrset: readonly (readonly string[])[]): StsRecord | undefined {
  checkRecords('selectRecord()', rrset)
  const finding = examineRecords(rrset)
  return finding.kind === 'one' ? finding.record : undefined
}

/** Like {@link selectRecord}, but also returns the reason for no record. */
export function examineRecords(rrset: readonly (readonly string[])[]): RecordFinding {
  // Counted before parsing: one malformed and one valid record are two records
  const records = selectRecords(rrset, VERSION)
  const [record] = records
  if (record === undefined) return { kind: 'none' }
  if (records.length > 1) return { kind: 'several', count: records.length }
  try {
    return { kind: 'one', record: parseRecord(record) }
  } catch (error) {
    if (error instanceof RecordSyntaxError) return { kind: 'malformed', error }
    throw error
  }
}

/**
 * Writes a record that {@link parseRecord} reads back as the same. It may be longer than the 255
 * bytes of one TXT string.
 *
 * @throws RecordSyntaxError for an invalid record
 */
export function formatRecord(record: StsRecord): string {
  if (typeof record !== 'object' || record === null) {
    throw argumentError(['formatRecord()', 'record'], 'must be a record', record)
  }
  const extensions = record.extensions ?? []
  if (record.version !== VERSION) {
    throw new RecordSyntaxError(
      `The version of an MTA-STS record must be ${VERSION}, but it is "${escapeRemoteText(String(record.version))}"`,
    )
  }
  checkId(record.id)
  checkExtensions(extensions)
  const fields = [{ name: 'v', value: VERSION }, { name: 'id', value: record.id }, ...extensions]
  return `${fields.map(({ name, value }) => `${name}=${value}`).join('; ')};`
}

/** Whether a text is an `sts-id`. Ids are case-sensitive. */
export function isPolicyId(id: string): boolean {
  return ID.test(id)
}

function checkId(id: string): void {
  if (typeof id === 'string' && isPolicyId(id)) return
  throw new RecordSyntaxError(
    `The id of an MTA-STS record ${ID_RULE}, but it is "${escapeRemoteText(String(id))}"`,
  )
}

function checkExtensions(extensions: readonly Field[]): void {
  for (const extension of extensions) {
    const problem = fieldProblem(extension)
    if (problem !== undefined) throw new RecordSyntaxError(problem)
    if (isDefined(extension.name)) {
      throw new RecordSyntaxError(`"${extension.name}" is not an extension of an MTA-STS record`)
    }
  }
  if (firstOfEach(extensions).length < extensions.length) {
    throw new RecordSyntaxError('The MTA-STS record has an extension twice')
  }
}

function isDefined(name: string): boolean {
  return name === 'v' || name === 'id'
}
