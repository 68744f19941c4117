#!/usr/bin/env node
/**
 * The program `mta-sts`.
 *
 * @module
 */
import { textOfThrown } from '../text.js'
import { EXIT } from './context.js'
import { printsAtInterrupt, run } from './run.js'

const argv = process.argv.slice(2)
const interrupted = new AbortController()

// The first Ctrl-C prints the results so far; a second one ends the process as usual
if (printsAtInterrupt(argv)) {
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => interrupted.abort(new Error('interrupted')))
  }
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') {
    // `mta-sts check ... | head`: the status is that of the results all the same
    if (printsAtInterrupt(argv)) interrupted.abort(error)
    else process.exit()
  } else {
    process.stderr.write(`mta-sts: the output cannot be written (${textOfThrown(error)})\n`)
    process.exit(EXIT.unknown)
  }
})
// A closed standard error leaves no place for messages
process.stderr.on('error', () => undefined)

run(argv, {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: interrupted.signal,
  get stdin() {
    return process.stdin
  },
}).then((status) => {
  process.exitCode = status
  // An input or a connection that is still open must not hold the end back
  if (interrupted.signal.aborted) process.stdout.write('', () => process.exit())
})
