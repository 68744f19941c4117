/** Tests of what happens where an optional package is not installed. */
import Module from 'node:module'
import { afterAll, beforeAll } from 'vitest'

type Resolve = (request: string, ...rest: unknown[]) => string

/** Call it at the top of a test file: `require` does not find the package there. */
export function withoutPackage(name: string): void {
  const loader = Module as unknown as { _resolveFilename: Resolve }
  const original = loader._resolveFilename
  beforeAll(() => {
    loader._resolveFilename = function (request, ...rest) {
      if (request !== name && !request.startsWith(`${name}/`)) {
        return original.call(this, request, ...rest)
      }
      const error = new Error(`Cannot find module '${request}'`)
      throw Object.assign(error, { code: 'MODULE_NOT_FOUND' })
    }
  })
  afterAll(() => {
    loader._resolveFilename = original
  })
}
