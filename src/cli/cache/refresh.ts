/**
 * `mta-sts cache refresh`: the core's own pass over what a store holds.
 *
 * @module
 */
import { format } from 'node:util'
import type { Logger } from '../../logger.js'
import { MtaSts } from '../../mta-sts.js'
import type { PolicyStore } from '../../policy/store.js'
import { complain } from '../complain.js'
import { EXIT, type ExitStatus } from '../context.js'
import { toJson } from '../layout.js'
import { type NetworkArguments, openNetwork } from '../network.js'
import { progressOn } from '../terminal.js'
import type { CacheOutput } from './entries.js'

export async function refresh(
  store: PolicyStore,
  values: NetworkArguments,
  { context, json }: CacheOutput,
): Promise<ExitStatus> {
  const { options } = await openNetwork(values, context)
  // The core goes on without a store that fails; here a failing store is the result
  await store.get('example.com')
  const failures: string[] = []
  const storeFailures: string[] = []
  const sts = new MtaSts({
    ...options,
    store,
    refreshInterval: 0,
    logger: collecting(failures, storeFailures),
  })
  const progress = progressOn(context)
  progress.show('Fetching the policies anew')
  try {
    const { checked, renewed, changed, failed, dropped } = await sts.refresh()
    progress.clear()
    if (json) {
      const summary = { checked, renewed, changed, failed, dropped }
      const all = [...failures, ...storeFailures]
      context.stdout.write(toJson({ format: 1, ...summary, failures: all }))
    } else {
      const counts = `${renewed} renewed, ${changed} changed, ${failed} failed, ${dropped} dropped`
      context.stdout.write(`${checked} looked at: ${counts}\n`)
      for (const failure of [...failures, ...storeFailures]) complain(failure, context)
    }
    // A policy that could not be stored is lost when this process ends
    if (storeFailures.length > 0) return EXIT.unknown
    return failed > 0 ? EXIT.unprotected : EXIT.fine
  } finally {
    progress.clear()
    await sts.close()
  }
}

/** The core warns of policies that could not be fetched; its errors are those of the store. */
function collecting(failures: string[], storeFailures: string[]): Logger {
  const into =
    (list: string[]) =>
    (_entry: object, message: string, ...args: unknown[]) => {
      list.push(format(message, ...args))
    }
  const ignore = () => undefined
  return { debug: ignore, info: ignore, warn: into(failures), error: into(storeFailures) }
}
