/**
 * Waiting that an abort ends, also in a step that does not look at the signal.
 *
 * @module
 */

/** Resolves as `work` does, unless the signal is aborted first. @throws the signal's reason */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  let onAbort: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    work.catch(() => undefined)
    if (onAbort) signal.removeEventListener('abort', onAbort)
  }
}
