/**
 * Modules of Node that only connections and lookups need, loaded when first used: loading them takes
 * longer than everything else in an import of this package. They are part of Node, so a later load
 * cannot fail, and `process.getBuiltinModule` is quick when they are there.
 *
 * @module
 */

export const builtins = {
  get crypto() {
    return process.getBuiltinModule('node:crypto')
  },
  get dns() {
    return process.getBuiltinModule('node:dns')
  },
  get http() {
    return process.getBuiltinModule('node:http')
  },
  get net() {
    return process.getBuiltinModule('node:net')
  },
  get os() {
    return process.getBuiltinModule('node:os')
  },
  get stream() {
    return process.getBuiltinModule('node:stream')
  },
  get tls() {
    return process.getBuiltinModule('node:tls')
  },
}
