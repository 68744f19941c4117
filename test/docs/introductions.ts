/**
 * The comment on top of each entry, which introduces its module on the site.
 *
 * @module
 */
import { entries } from '../../scripts/entries.js'
import { type CodeBlock, codeBlocks } from './code-blocks.js'
import { pageAt } from './markdown.js'

export interface Introduction {
  /** The module, as it is imported */
  name: string
  file: string
  /** The comment as the Markdown that it is */
  text: string
  examples: CodeBlock[]
}

const { cli: _, ...modules } = entries

export const INTRODUCTIONS: readonly Introduction[] = Object.entries(modules).map(([key, file]) => {
  const [, comment = ''] = /^\/\*\*\n(.*?)\n \*\//s.exec(pageAt(file)) ?? []
  const text = comment.replace(/^ \*(?: |$)/gm, '')
  const name = key === 'index' ? 'mta-sts' : `mta-sts/${key}`
  return { name, file, text, examples: codeBlocks(text) }
})
