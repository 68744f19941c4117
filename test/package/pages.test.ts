/** The code on the pages compiles: all programs, and the examples of the modules. */
import { describe, expect, it } from 'vitest'
import { codeBlocks, compileErrors } from '../docs/code-blocks.js'
import { INTRODUCTIONS } from '../docs/introductions.js'
import { pageAt } from '../docs/markdown.js'
import { programs } from '../docs/page-programs.js'
import { NAMES } from '../docs/reader.js'
import { testingPrograms } from '../docs/testing-programs.js'

describe('the code on the pages', () => {
  it('compiles, as do the examples of the modules', () => {
    const files = new Map(programs.map(({ text }, index) => [`program-${index}`, text]))
    for (const { name, examples } of INTRODUCTIONS) {
      const typed = examples.filter(({ language }) => language === 'ts')
      for (const { code } of typed) files.set(name.replaceAll('/', '-'), `${code}export {}\n`)
    }
    expect(files.size).toBeGreaterThan(programs.length + 7)
    // What somebody pastes from the README is the whole program
    const pasted = codeBlocks(pageAt('README.md')).filter(({ language }) => language === 'js')
    for (const { line, code } of pasted) files.set(`readme-${line}`, `${code}export {}\n`)
    expect(pasted.length).toBeGreaterThan(6)
    for (const [index, { text }] of testingPrograms.entries()) files.set(`testing-${index}`, text)
    expect(testingPrograms.length).toBeGreaterThan(10)
    files.set('wrong', `${NAMES}export const count: number = world.ca\n`)
    expect(compileErrors(files)).toEqual([expect.stringMatching(/wrong\.ts.*TS2322/)])
  })
})
