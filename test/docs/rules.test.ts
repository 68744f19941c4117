/** docs/rules.md: it is what the rules and the test files say now, and every rule has a test. */
import { describe, expect, it } from 'vitest'
import { RULES_PAGE, rules, rulesPage, testsOfRules } from '../../scripts/rules-page.js'
import { pageAt } from './markdown.js'

describe('the rules', () => {
  it('are each there once, with a text', () => {
    const ids = rules().map(({ id }) => id)
    expect(ids.length).toBeGreaterThan(100)
    expect(new Set(ids).size).toBe(ids.length)
    for (const { id, level, section, text } of rules()) {
      expect([id, text.length > 10]).toEqual([id, true])
      expect([id, level === 'expected' || section !== undefined]).toEqual([id, true])
    }
  })

  it('are each named by a test', () => {
    const tests = testsOfRules()
    expect(rules().filter(({ id }) => !tests.has(id))).toEqual([])
  })

  it('are all that tests name', () => {
    const ids = new Set(rules().map(({ id }) => id))
    const prefixes = new Set([...ids].map((id) => id.replace(/-\d+$/, '')))
    const named = [...testsOfRules().keys()].filter((id) => prefixes.has(id.replace(/-\d+$/, '')))
    expect(named.filter((id) => !ids.has(id))).toEqual([])
  })

  it('are on a page that is current: npm run docs:rules writes it', () => {
    expect(pageAt(RULES_PAGE)).toBe(rulesPage())
  })
})
