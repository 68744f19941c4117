/**
 * `mta-sts cache refresh`: the core's own pass over what a store holds.
 *
 * @module
 */
import { format } from 'node:util'
import type { Logger } from '../../logger.js'
import { MtaSts } from '../../mta-sts.js'
import type { PolicyStore } from '../../policy/store.js'
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
  // The core goes on without a store that fails; here that is what was asked about
  await store.get('example.com')
  const failures: string[] = []
  const sts = new MtaSts({ ...options, store, refreshInterval: 0, logger: collecting(failures) })
  const progress = progressOn(context)
  progress.show('Fetching the policies anew')
  try {
    const { checked, renewed, changed, failed, dropped } = await sts.refresh()
    progress.clear()
    if (json) {
      const summary = { checked, renewed, changed, failed, dropped }
      context.stdout.write(toJson({ format: 1, ...summary, failures }))
    } else {
      const counts = `${renewed} renewed, ${changed} changed, ${failed} failed, ${dropped} dropped`
      context.stdout.write(`${checked} looked at: ${counts}\n`)
      for (const failure of failures) context.stderr.write(`mta-sts: ${failure}\n`)
    }
    return failed > 0 ? EXIT.unprotected : EXIT.fine
  } finally {
    progress.clear()
    await sts.close()
  }
}

function collecting(failures: string[]): Logger {
  const collect = (_entry: object, message: string, ...args: unknown[]) => {
    failures.push(format(message, ...args))
  }
  const ignore = () => undefined
  return { debug: ignore, info: ignore, warn: collect, error: collect }
}
