/**
 * The memory that work takes at its peak.
 *
 * @module
 */

/** Interval of the measurements, in milliseconds. */
const INTERVAL = 5

/** Returns the bytes in heap and buffers that are in use at most while the work is done, beyond those before it. */
export async function peakMemory(work: () => Promise<void>): Promise<number> {
  globalThis.gc?.()
  const before = bytesInUse()
  let peak = before
  const look = () => {
    peak = Math.max(peak, bytesInUse())
  }
  const timer = setInterval(look, INTERVAL)
  try {
    await work()
    look()
  } finally {
    clearInterval(timer)
  }
  return peak - before
}

/** `external` includes the buffers. */
function bytesInUse(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
