/** The site that `npm run docs` builds: each page has its place, each module an introduction. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { pages } from '../../scripts/pages.js'
import { INTRODUCTIONS } from './introductions.js'
import { linksOf, PAGES, pageAt, ROOT } from './markdown.js'

describe('the navigation', () => {
  it('has each page once, and the README as front page', () => {
    const { readme }: { readme: string } = JSON.parse(pageAt('typedoc.json'))
    const listed = Object.values(pages).flatMap((paths) => [...paths])
    expect([readme, ...listed].toSorted()).toEqual(PAGES.toSorted())
  })
})

describe('the introduction of each module', () => {
  it('is one for each entry of the package', () => {
    const { exports }: { exports: Record<string, unknown> } = JSON.parse(pageAt('package.json'))
    const names = Object.keys(exports).map((path) => path.replace(/^\./, 'mta-sts'))
    const known = [...INTRODUCTIONS.map(({ name }) => name), 'mta-sts/package.json']
    expect(known.toSorted()).toEqual(names.toSorted())
  })

  // programs.test.ts compiles the examples
  it.each(INTRODUCTIONS)('$name: has its name, an example, a guide', ({ name, text, ...intro }) => {
    expect(text).toMatch(new RegExp(`\\n@module ${name}$`))
    expect(intro.examples.map(({ code }) => code).join('\n')).toContain(name)
    const guides = linksOf(text)
    expect(guides.length).toBeGreaterThan(0)
    const missing = guides.filter((guide) => !existsSync(join(ROOT, dirname(intro.file), guide)))
    expect(missing).toEqual([])
  })
})
