/** The programs on the pages run, and what their comments say is so. */
import { describe, expect, it } from 'vitest'
import { createMailWorld } from '../../src/testing/index.js'
import { hasSqlite } from '../cli/support.js'
import { runProgram } from './code-blocks.js'
import { programs } from './page-programs.js'
import { Reader } from './reader.js'

it('are all of the blocks in JavaScript and TypeScript, of all pages but docs/testing.md', () => {
  expect(programs.length).toBeGreaterThan(15)
})

describe('run', () => {
  it.each(programs.map((program) => [program.title, program] as const))(
    '%s',
    async (_, { text, checks, needs }) => {
      await using reader = new Reader(await createMailWorld())
      const { modules, names } = reader
      if (needs === 'sqlite' && !hasSqlite()) {
        await expect(runProgram(text, modules, names)).rejects.toMatchObject({ code: 'ENOSQLITE' })
        return
      }
      await runProgram(text, modules, names)
      expect(reader.checked).toBe(checks)
    },
  )
})

it('have comments that are looked at', () => {
  const total = programs.reduce((sum, { checks }) => sum + checks, 0)
  expect(total).toBeGreaterThan(8)
})
