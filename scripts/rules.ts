/** `npm run docs:rules`: writes docs/rules.md. */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { RULES_PAGE, rules, rulesPage, testsOfRules } from './rules-page.js'

writeFileSync(fileURLToPath(new URL(`../${RULES_PAGE}`, import.meta.url)), rulesPage())
const tests = testsOfRules()
const without = rules().filter(({ id }) => !tests.has(id))
console.log(`${RULES_PAGE} is written`)
for (const { id, text } of without) console.log(`No test names ${id}: ${text}`)
