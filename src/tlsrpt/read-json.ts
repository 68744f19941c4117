/**
 * Reads JSON (RFC 8259) with only the wanted fields. Other fields are checked and skipped without
 * being built, nesting and the number of values are bounded, and several values may follow each
 * other. `JSON.parse` can do none of this: 16 MiB of brackets keep it busy for seconds and take a
 * gigabyte.
 *
 * @module
 */
import { ReportSyntaxError } from './read-error.js'

/** A JSON value without its unwanted fields. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject

/** An object with wanted fields only: none is named `toString` or `__proto__`. */
export interface JsonObject {
  readonly [field: string]: Json | undefined
}

/** Maximum nesting. Reports nest five levels; the rest is for unknown fields. */
const MAX_DEPTH = 32

/** Remaining budget, shared by all values of one file. */
export interface JsonBudget {
  /** Remaining values to build */
  values: number
  /** Remaining objects and lists among them, which take the most memory */
  containers: number
}

/** Longest field name in the text: 30 characters, each of which may be escaped. */
const MAX_FIELD_NAME = 200

/** Maximum number of damaged values in one text, each an error with a stack trace. */
const MAX_SKIPS = 1000

/** Maximum number of characters read again behind damage, in one text. */
const MAX_AGAIN = 1024 * 1024

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const LITERALS: ReadonlyMap<string, Json> = new Map([
  ['true', true],
  ['false', false],
  ['null', null],
])

/** Reads the values of a text, one after the other. */
export class JsonReader {
  readonly #text: string
  readonly #fields: ReadonlySet<string>
  readonly #budget: JsonBudget
  #at = 0
  /** Start of the last value */
  #start = 0
  #skips = MAX_SKIPS
  #again = 0

  /** @param fields names of the fields to build, in any object */
  constructor(text: string, fields: ReadonlySet<string>, budget: JsonBudget) {
    this.#text = text
    this.#fields = fields
    this.#budget = budget
  }

  /** The text from the value that {@link next} read, or could not read, to the end. */
  get lastValue(): string {
    return this.#text.slice(this.#start)
  }

  /** Moves to the next line that begins with an object. Returns false without one. */
  skipToNextLine(): boolean {
    const line = this.#text.indexOf('\n{', this.#start)
    this.#again += this.#at - line
    if (line < 0 || --this.#skips < 0 || this.#again > MAX_AGAIN) return false
    this.#at = line + 1
    return true
  }

  /** Whether another object or list follows, after white space and at most one comma. */
  hasNext(): boolean {
    this.#skipSpace()
    if (this.#text[this.#at] === ',') {
      this.#at++
      this.#skipSpace()
    }
    const char = this.#text[this.#at]
    return char === '{' || char === '['
  }

  /** @throws ReportSyntaxError */
  next(): Json {
    this.#skipSpace()
    this.#start = this.#at
    return this.#value(0)
  }

  #value(depth: number): Json {
    if (--this.#budget.values < 0) throw new ReportSyntaxError('its JSON has too many values')
    const char = this.#text[this.#at]
    if (char === '{') return this.#object(depth)
    if (char === '[') return this.#list(depth)
    if (char === '"') return this.#string()
    return this.#scalar()
  }

  #object(depth: number): JsonObject {
    const object: Record<string, Json> = {}
    this.#budget.containers--
    this.#members('}', depth, () => {
      const name = this.#fieldName()
      this.#skipSpace()
      this.#expect(':')
      this.#skipSpace()
      // The last of repeated fields counts, as in JSON.parse
      if (name !== undefined) object[name] = this.#value(depth + 1)
      else this.#skip(depth + 1)
    })
    return object
  }

  #list(depth: number): Json[] {
    const list: Json[] = []
    this.#budget.containers--
    this.#members(']', depth, () => list.push(this.#value(depth + 1)))
    return list
  }

  /** Reads the members of an object or a list, up to and including its end. */
  #members(end: string, depth: number, member: () => unknown): void {
    if (this.#budget.containers < 0) throw new ReportSyntaxError('its JSON has too many values')
    if (depth >= MAX_DEPTH) throw new ReportSyntaxError('its JSON is nested too deeply')
    this.#at++
    this.#skipSpace()
    if (this.#text[this.#at] === end) {
      this.#at++
      return
    }
    for (;;) {
      this.#skipSpace()
      member()
      this.#skipSpace()
      if (this.#text[this.#at] !== ',') break
      this.#at++
    }
    this.#expect(end)
  }

  /** Skips a value; checks only its brackets and strings. */
  #skip(depth: number): void {
    const char = this.#text[this.#at]
    if (char === '{') {
      this.#members('}', depth, () => {
        this.#skipString()
        this.#skipSpace()
        this.#expect(':')
        this.#skipSpace()
        this.#skip(depth + 1)
      })
    } else if (char === '[') this.#members(']', depth, () => this.#skip(depth + 1))
    else if (char === '"') this.#skipString()
    else this.#scalar()
  }

  /** Returns the field name if it is wanted. */
  #fieldName(): string | undefined {
    const start = this.#at
    this.#skipString()
    if (this.#at - start > MAX_FIELD_NAME) return undefined
    const raw = this.#text.slice(start + 1, this.#at - 1)
    const name = raw.includes('\\') ? parse(`"${raw}"`) : raw
    return this.#fields.has(name) ? name : undefined
  }

  #string(): string {
    const start = this.#at
    this.#skipString()
    // A copy: a slice would keep the whole text in memory
    return parse(this.#text.slice(start, this.#at))
  }

  #skipString(): void {
    if (this.#text[this.#at] !== '"') throw damaged()
    for (let from = this.#at + 1; ; ) {
      const end = this.#text.indexOf('"', from)
      if (end < 0) {
        this.#at = this.#text.length
        throw damaged()
      }
      from = end + 1
      if (this.#isEscaped(end)) continue
      this.#at = from
      return
    }
  }

  /** Whether an odd number of backslashes precedes the quote, all inside the string. */
  #isEscaped(quote: number): boolean {
    let first = quote
    while (first > this.#at + 1 && this.#text[first - 1] === '\\') first--
    return (quote - first) % 2 === 1
  }

  #scalar(): Json {
    for (const [word, value] of LITERALS) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length
        return value
      }
    }
    NUMBER.lastIndex = this.#at
    const [digits] = NUMBER.exec(this.#text) ?? []
    if (digits === undefined) throw damaged()
    this.#at += digits.length
    return Number(digits)
  }

  #expect(char: string): void {
    if (this.#text[this.#at] !== char) throw damaged()
    this.#at++
  }

  #skipSpace(): void {
    for (; ; this.#at++) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
    }
  }
}

function parse(text: string): string {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw damaged(cause)
  }
}

function damaged(cause?: unknown): ReportSyntaxError {
  return new ReportSyntaxError('its JSON is damaged', { cause })
}
