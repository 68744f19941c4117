/**
 * What the entry for Vitest takes from the program. That entry is an ES module, and the program is
 * CommonJS: it imports this file and no other.
 *
 * @module
 */
export { createMailWorld } from './create.js'
export { matchers, type Received, type Refused } from './matchers.js'
export { ended, WorldForEachTest } from './runner.js'
