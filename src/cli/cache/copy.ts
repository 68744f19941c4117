/**
 * `mta-sts cache copy`: the policies of one store into another, to move from one kind to another.
 *
 * @module
 */
import { MtaStsError } from '../../errors.js'
import { EXIT, type ExitStatus } from '../context.js'
import { toJson } from '../layout.js'
import { type OpenStore, openStore } from '../store.js'
import type { CacheOutput } from './entries.js'

/**
 * Copies all entries. One that the other store has of a later fetch is left there.
 *
 * @throws UsageError; MtaStsError where a store cannot be opened, or fails
 */
export async function copy(
  from: string,
  to: string,
  { context, json, prefix }: CacheOutput & { prefix: string | undefined },
): Promise<ExitStatus> {
  const source = await openStore(from, prefix)
  try {
    const target = await openTarget(to, prefix)
    try {
      const { copied, skipped } = await copyAll(source, target)
      const text = `${copied} copied, ${skipped} left as they are: the other store has a later fetch\n`
      context.stdout.write(json ? toJson({ format: 1, copied, skipped }) : text)
      return EXIT.fine
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}

async function copyAll(
  { store: source }: OpenStore,
  { store: target }: OpenStore,
): Promise<{ copied: number; skipped: number }> {
  if (source.list === undefined) throw new MtaStsError('This store cannot be listed.', 'ESTORE')
  const result = { copied: 0, skipped: 0 }
  for await (const [domain, entry] of source.list()) {
    const taken = await target.set(domain, entry)
    result[taken === false ? 'skipped' : 'copied']++
  }
  return result
}

/** Opens the target; a SQLite file that does not exist yet is created. */
async function openTarget(to: string, prefix: string | undefined): Promise<OpenStore> {
  const path = /^sqlite:(.+)$/s.exec(to)?.[1]
  if (path === undefined) return openStore(to, prefix)
  const { sqliteStore } = await import('../../policy/stores/sqlite.js')
  const store = sqliteStore(path)
  return {
    store,
    async close() {
      await store.close?.()
    },
  }
}
