#!/usr/bin/env node
/**
 * The program `mta-sts`.
 *
 * @module
 */
import { run } from './run.js'

// `mta-sts check ... | head`: who reads no further has seen enough
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit()
  throw error
})

run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  get stdin() {
    return process.stdin
  },
}).then((status) => {
  process.exitCode = status
})
