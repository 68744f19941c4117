/**
 * What a reader types, and which of it is run.
 *
 * @module
 */
import { codeBlocks } from './code-blocks.js'
import { PAGES, pageAt } from './markdown.js'

/** A line of a block of the language `sh`. */
export interface Typed {
  page: string
  line: number
  text: string
}

/** `npm run test:hosts` plays what these pages say, in real servers. */
export const OF_HOSTS: ReadonlySet<string> = new Set(['docs/haraka.md', 'docs/zone-mta.md'])

export const TYPED: readonly Typed[] = PAGES.filter((page) => !OF_HOSTS.has(page))
  .flatMap((page) =>
    codeBlocks(pageAt(page))
      .filter(({ language }) => language === 'sh')
      .flatMap(({ code, line }) =>
        code.split('\n').map((text, index) => ({ page, line: line + index, text })),
      ),
  )
  .filter(({ text }) => text !== '')

/** For whoever works on the project: their scripts and files have to be there. */
const CONTRIBUTORS: readonly string[] = ['CONTRIBUTING.md']

export const isForContributors = ({ page }: Typed): boolean => CONTRIBUTORS.includes(page)

/** What a user types, in the order of the pages. */
export const INSTALLS = TYPED.filter(({ text }) => text.startsWith('npm install '))
export const COMMANDS = TYPED.filter(({ text }) => text.startsWith('npx mta-sts '))
/** test/testing/remote.test.ts runs it from the sources. */
export const PRELOADED = TYPED.filter(({ text }) => text.startsWith('node --import mta-sts/'))
export const OPENSSL = TYPED.filter(({ text }) => text.startsWith('openssl '))
export const FOR_CONTRIBUTORS = TYPED.filter(isForContributors)
