/** Data shared by sqlite-processes.test.ts and its child processes. */

import type { StoredPolicy } from '../../../src/policy/store.js'

export type ChildTask =
  | { do: 'write'; path: string; writer: number; count: number; lanes: number }
  | { do: 'count'; path: string; count: number }
  | { do: 'open'; path: string; writer: number }

export function domainOf(writer: number, index: number): string {
  return `d${index}.w${writer}.example`
}

/** The same in every process, so that the parent can tell what must be there. */
export function entryOf(writer: number, index: number): StoredPolicy {
  const fetchedAt = Date.UTC(2026, 0, 1) + index
  return {
    id: `w${writer}n${index}`,
    body: `version: STSv1\nmode: enforce\nmx: mx${index}.example.com\nmax_age: 31557600\n`,
    fetchedAt,
    expiresAt: Date.UTC(2100, 0, 1),
    usedAt: fetchedAt,
  }
}

/** The used part of Node's SQLite beside the store; undefined if Node has none. */
export interface RawSqlite {
  DatabaseSync: new (
    path: string,
  ) => {
    exec(sql: string): void
    prepare(sql: string): { get(): unknown; all(): unknown[] }
    close(): void
  }
}

export function rawSqlite(): RawSqlite | undefined {
  return process.getBuiltinModule('node:sqlite') as RawSqlite | undefined
}
