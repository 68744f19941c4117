/**
 * All benchmarks, by the names that `npm run bench -- NAME` takes.
 *
 * @module
 */
import type { Benchmark } from '../benchmark.js'
import { burst } from './burst.js'
import { cached } from './cached.js'
import { check } from './check.js'
import { cold } from './cold.js'
import { connect } from './connect.js'
import { domains } from './domains.js'
import { memory } from './memory.js'
import { pool } from './pool.js'
import { report } from './report.js'
import { start } from './start.js'
import { match, parse } from './syntax.js'
import { world } from './world.js'

export const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  pool,
  connect,
  domains,
  cached,
  cold,
  burst,
  memory,
  parse,
  match,
  report,
  check,
  start,
  world,
}
