/**
 * The programs of `docs/testing.md`.
 *
 * @module
 */
import { codeBlocks, continued } from './code-blocks.js'
import { pageAt } from './markdown.js'

/** All code but the shell's, which runs with that of the other pages. */
export const testingBlocks = codeBlocks(pageAt('docs/testing.md')).filter(
  ({ language }) => language !== 'sh',
)
const setUp = testingBlocks.find(({ code }) => code.includes('mtaStsTransport(world.options())'))
if (setUp === undefined) throw new Error('The page has no block that the others go on from')
const pieces = testingBlocks.filter((block) => block !== setUp)

/** A block that makes no world of its own begins where the first one of the page ends. */
export const testingPrograms = pieces.map(({ line, code }) => {
  const own = /import .* from 'mta-sts\/testing(?:\/vitest)?'/.test(code)
  const text = own
    ? code
    : continued(setUp.code, code, 'transporter.close()\nawait world.close()\n')
  return { title: `line ${line}, ${code.split('\n', 1)}`, text }
})
