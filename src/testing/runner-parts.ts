/**
 * Exports for the entry for Vitest. That entry is an ES module, and the program is CommonJS: it
 * imports only this file.
 *
 * @module
 */
export { createMailWorld } from './create.js'
export { matchers, type Received, type Refused } from './matchers.js'
export { ended, WorldForEachTest } from './runner.js'
