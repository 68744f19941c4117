/** Without the option `dane`, no part of DANE is loaded. */
import { readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const SOURCE = fileURLToPath(new URL('../../src/', import.meta.url))

/** Every module that is loaded with a file of src, packages included. */
function loadedWith(entry: string): Set<string> {
  const loaded = new Set<string>()
  const visit = (file: string) => {
    if (loaded.has(file)) return
    loaded.add(file)
    const text = readFileSync(join(SOURCE, file), 'utf8')
    // `import type` and `export type` are erased
    for (const [, module = ''] of text.matchAll(
      /^(?:import|export)(?! type\b)[^'"]*?from '([^']+)'|^import '([^']+)'/gm,
    )) {
      if (module.startsWith('.'))
        visit(normalize(join(dirname(file), module)).replace(/\.js$/, '.ts'))
      else loaded.add(module)
    }
  }
  visit(entry)
  return loaded
}

const isOfDane = (module: string) => module.startsWith('dane/') || module === 'dns-packet'

it.each(['index.ts', 'nodemailer/index.ts', 'tlsrpt/index.ts'])(
  '%s loads no part of DANE',
  (entry) => {
    const loaded = [...loadedWith(entry)]
    expect(loaded.length).toBeGreaterThan(20)
    expect(loaded.filter(isOfDane)).toEqual([])
  },
)

it('the entry of DANE loads its reader of DNS messages, but no part of deliveries', () => {
  const loaded = [...loadedWith('dane/index.ts')]
  expect(loaded).toContain('dane/wire.ts')
  expect(loaded.filter((module) => /^(?:delivery|nodemailer|smtp|policy)\//.test(module))).toEqual(
    [],
  )
})
