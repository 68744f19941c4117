/**
 * Modules of Node that only connections and lookups need, loaded when first used: loading them takes
 * longer than everything else in an import of this package. They are part of Node, so a later load
 * cannot fail.
 *
 * @module
 */

export const builtins = {
  get crypto() {
    return kept(this, 'crypto', process.getBuiltinModule('node:crypto'))
  },
  get dns() {
    return kept(this, 'dns', process.getBuiltinModule('node:dns'))
  },
  get http() {
    return kept(this, 'http', process.getBuiltinModule('node:http'))
  },
  get net() {
    return kept(this, 'net', process.getBuiltinModule('node:net'))
  },
  get os() {
    return kept(this, 'os', process.getBuiltinModule('node:os'))
  },
  get stream() {
    return kept(this, 'stream', process.getBuiltinModule('node:stream'))
  },
  get tls() {
    return kept(this, 'tls', process.getBuiltinModule('node:tls'))
  },
}

/** Puts a module in the place of its getter: the look for it costs more than most of its uses. */
function kept<T>(modules: object, name: string, module: T): T {
  Object.defineProperty(modules, name, { value: module })
  return module
}
