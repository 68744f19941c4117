/**
 * All benchmarks, by the names that `npm run bench -- NAME` takes.
 *
 * @module
 */
import type { Benchmark } from '../benchmark.js'
import { big } from './big.js'
import { burst } from './burst.js'
import { cached } from './cached.js'
import { check } from './check.js'
import { cold } from './cold.js'
import { connect } from './connect.js'
import { daemon } from './daemon.js'
import { dane } from './dane.js'
import { domains } from './domains.js'
import { kit } from './kit.js'
import { link } from './link.js'
import { list } from './list.js'
import { make } from './make.js'
import { memory } from './memory.js'
import { million } from './million.js'
import { pool } from './pool.js'
import { read } from './read.js'
import { report } from './report.js'
import { start } from './start.js'
import { match, parse } from './syntax.js'
import { world } from './world.js'

export const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  pool,
  link,
  big,
  connect,
  domains,
  list,
  dane,
  cached,
  cold,
  daemon,
  burst,
  memory,
  million,
  parse,
  match,
  report,
  read,
  check,
  start,
  make,
  world,
  kit,
}
