/**
 * What is in the tarball, how large it is, and what those who look at packages for a living say.
 */
import { readFile } from 'node:fs/promises'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { beforeAll, describe, expect, it } from 'vitest'
import { entries, modules } from '../../scripts/entries.js'
import { packedTarball, ROOT, run } from './packed.js'

const MAX_BYTES = 400_000

/** Code that entries share, by its subject; and the pages that the README links to */
const SHARED = /^(?:dist\/parts\/[a-z0-9-]+\.(?:cjs|d\.cts)|docs\/[a-z-]+\.md)$/

/** The files of an entry; the command has no declarations, an ES module has parts beside it */
function filesOf(name: string): string[] {
  if (name === 'cli') return ['dist/cli.cjs', 'dist/cli.js']
  const kinds = ['cjs', 'js', 'd.cts', 'd.ts']
  const parts = name in modules ? [`dist/${name}-parts.cjs`] : []
  return [...parts, ...kinds.map((kind) => `dist/${name}.${kind}`)]
}

let tarball = ''
beforeAll(async () => {
  tarball = await packedTarball()
})

async function files(): Promise<string[]> {
  const { stdout } = await run(['tar', '-tzf', tarball])
  return stdout
    .trimEnd()
    .split('\n')
    .map((path) => path.replace(/^package\//, ''))
}

describe('the tarball', () => {
  it('holds the program, its declarations, and what one reads first', async () => {
    const found = await files()
    expect(found.filter((path) => !SHARED.test(path)).sort()).toEqual(
      [
        'LICENSE',
        'README.md',
        'SECURITY.md',
        'dist/main.cjs',
        'haraka/config/mta-sts.ini',
        'haraka/package.json',
        'package.json',
        ...Object.keys(entries).flatMap(filesOf),
      ].sort(),
    )
  })

  it(`is no larger than ${MAX_BYTES} bytes`, async () => {
    expect((await readFile(tarball)).length).toBeLessThanOrEqual(MAX_BYTES)
  })
})

describe('what is said about the package', () => {
  it('publint has nothing to say, and nothing to suggest', async () => {
    const bytes = new Uint8Array(await readFile(tarball)).buffer
    const { messages, pkg } = await publint({ pack: { tarball: bytes }, strict: true })
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([])
  })

  it('attw finds the types of every entry right, for every way to resolve them', async () => {
    const { stdout } = await run(['npx', 'attw', '--no-color', '--format', 'ascii', tarball])
    const { exports }: { exports: Record<string, unknown> } = JSON.parse(
      await readFile(`${ROOT}package.json`, 'utf8'),
    )
    const [, ...sections] = stdout.split(/^"mta-sts/m)
    const verdicts = sections.map((section) => {
      const [subpath = '', ...lines] = section.split('\n')
      const ways = lines.filter((line) => line.includes(': 🟢')).map((line) => line.split(':')[0])
      return [`.${subpath.replace('"', '')}`, ways]
    })
    const ways = ['node10', 'node16 (from CJS)', 'node16 (from ESM)', 'bundler']
    expect(Object.fromEntries(verdicts)).toEqual(
      Object.fromEntries(Object.keys(exports).map((subpath) => [subpath, ways])),
    )
  })
})
