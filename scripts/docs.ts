/**
 * Builds the site in `api/`: the README as front page, the guides, and the API of each entry, in one
 * navigation. A warning of TypeDoc is an error, and so is a link that leads nowhere.
 */
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join, normalize } from 'node:path'
import {
  Application,
  type CommentDisplayPart,
  Converter,
  type DocumentReflection,
  JSX,
  KindRouter,
  type Reflection,
  TSConfigReader,
  TypeDocReader,
} from 'typedoc'
import { pages } from './pages.js'

const SITE = 'api'

/** Groups of the navigation by the path of a page. */
const groups = new Map<string, string>(
  Object.entries(pages).flatMap(([group, paths]) => paths.map((path) => [path, group] as const)),
)

/** File names of the pages by their headings. */
const fileNames = new Map<string, string>()

/** Gives the pages the addresses of their files, which headings would change. */
class PageRouter extends KindRouter {
  protected override getIdealBaseName(reflection: Reflection): string {
    const fileName = reflection.isDocument() ? fileNames.get(reflection.name) : undefined
    return fileName ? `pages/${fileName}` : super.getIdealBaseName(reflection)
  }
}

async function buildSite(): Promise<void> {
  const readers = [new TypeDocReader(), new TSConfigReader()]
  const options = { projectDocuments: [...groups.keys()], out: SITE, router: 'pages' }
  const app = await Application.bootstrapWithPlugins(options, readers)
  app.renderer.defineRouter('pages', PageRouter)
  app.renderer.hooks.on('head.end', openGroups)
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, page) => arrange(page))
  const project = await app.convert()
  if (project) {
    app.validate(project)
    await app.generateOutputs(project)
  }
  if (!project || app.logger.hasErrors() || app.logger.hasWarnings()) {
    throw new Error('TypeDoc has found something wrong: see above')
  }
}

/** Names a page by its heading instead of its path, and puts it into its group. */
function arrange(page: DocumentReflection): void {
  const group = groups.get(`${page.name}.md`)
  const heading = /^# (.+)$/m.exec(textOf(page.content))
  if (!group || !heading?.[1]) throw new Error(`${page.name}.md has no group or no heading`)
  page.frontmatter.group = group
  fileNames.set(heading[1], basename(page.name))
  page.name = heading[1]
}

/** Opens the groups of the navigation, unless the reader has closed them. */
function openGroups(): JSX.Element {
  const names = JSON.stringify([...Object.keys(pages), 'Modules'])
  const code = `for (const name of ${names}) localStorage['tsd-accordion-' + name] ??= 'true'`
  return JSX.createElement('script', null, JSX.createElement(JSX.Raw, { html: code }))
}

function textOf(content: readonly CommentDisplayPart[]): string {
  return content.map(({ text }) => text).join('')
}

/** Returns the dead links of the site, with their pages. */
async function deadLinks(): Promise<string[]> {
  const files = await readdir(SITE, { recursive: true })
  const html = files.filter((file) => file.endsWith('.html'))
  const texts = new Map<string, string>()
  for (const file of html) texts.set(file, await readFile(join(SITE, file), 'utf8'))
  const ids = new Map([...texts].map(([file, text]) => [file, idsOf(text)]))
  const isThere = (from: string, link: string) => {
    const [path = '', id = ''] = link.split('#').map(decodeURIComponent)
    const target = path === '' ? from : normalize(join(dirname(from), path))
    const file = /(?:^|\/)$|^\.$/.test(target) ? join(target, 'index.html') : target
    return files.includes(file) && (id === '' || ids.get(file)?.has(id) === true)
  }
  return [...texts].flatMap(([file, text]) =>
    linksOf(text)
      .filter((link) => !isThere(file, link))
      .map((link) => `${file}: ${link}`),
  )
}

function idsOf(html: string): Set<string> {
  return new Set([...html.matchAll(/ id="([^"]*)"/g)].map(([, id = '']) => id))
}

/** Returns the targets of links and pictures, without other sites and TypeDoc's own icons. */
function linksOf(html: string): string[] {
  const links = [...html.matchAll(/ (?:href|src)="([^"]*)"/g)].map(([, link = '']) => link)
  return links.filter((link) => !/^(?:https?|data|mailto):|icons\.svg#/.test(link))
}

await buildSite()
const dead = await deadLinks()
if (dead.length > 0) throw new Error(`Links that lead nowhere:\n${dead.join('\n')}`)
