/**
 * The code of a page in Markdown: taken out, compiled as strictly as the project itself, and run.
 *
 * @module
 */

import { fileURLToPath } from 'node:url'
import { runInThisContext } from 'node:vm'
import ts from 'typescript'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export interface CodeBlock {
  /** What stands behind the fence; empty where nothing does */
  language: string
  code: string
  /** Of its first line of code, from 1 */
  line: number
}

const FENCE = /^( *)(`{3,}|~{3,})(.*)$/

/**
 * The code of a page, in order.
 *
 * @throws Error for a block that does not end, and for one by indentation, which has no language
 */
export function codeBlocks(markdown: string): CodeBlock[] {
  const blocks: CodeBlock[] = []
  let open: { fence: string; indent: string; block: CodeBlock } | undefined
  for (const [index, text] of markdown.split('\n').entries()) {
    const [, indent = '', fence = '', language = ''] = FENCE.exec(text) ?? []
    if (open === undefined && fence !== '') {
      open = { fence, indent, block: { language, code: '', line: index + 2 } }
    } else if (open === undefined) {
      if (/^(?: {4}|\t)/.test(text)) throw new Error(`Line ${index + 1}: code without a fence`)
    } else if (fence === open.fence && language === '') {
      blocks.push(open.block)
      open = undefined
    } else {
      const { block, indent: before } = open
      block.code += `${text.startsWith(before) ? text.slice(before.length) : text}\n`
    }
  }
  if (open !== undefined) throw new Error(`Line ${open.block.line - 1}: the block does not end`)
  return blocks
}

/** A block that goes on where another ends, and what is done after it whatever happens. */
export function continued(setUp: string, code: string, tearDown: string): string {
  const [imports, body] = withoutImports(code)
  return `${imports}${setUp}try {\n${body}} finally {\n${tearDown}}\n`
}

/** Import declarations, which stand on top of a module, and the rest. */
export function withoutImports(code: string): [imports: string, rest: string] {
  const lines = code.split(/(?<=\n)/)
  const isImport = (line: string) => /^import .* from '.*'$/.test(line.trim())
  return [lines.filter(isImport).join(''), lines.filter((line) => !isImport(line)).join('')]
}

/** What the compiler has to say about programs, by the names that they are given. */
export function compileErrors(programs: ReadonlyMap<string, string>): string[] {
  const config = ts.getParsedCommandLineOfConfigFile(`${ROOT}tsconfig.json`, UNUSED, HOST)
  const options = { ...config?.options, ...UNUSED }
  const files = new Map([...programs].map(([name, text]) => [`${ROOT}docs/${name}.ts`, text]))
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile } = host
  host.fileExists = (path) => files.has(path) || fileExists(path)
  host.readFile = (path) => files.get(path) ?? readFile(path)
  const program = ts.createProgram([...files.keys(), `${ROOT}${UNTYPED}`], options, host)
  return ts
    .getPreEmitDiagnostics(program)
    .map((diagnostic) => ts.formatDiagnostic(diagnostic, host).trim())
}

/** Types for a package that comes without. */
const UNTYPED = 'test/bench/peers/mx-connect.d.ts'

/** A reader does not mind a name that is there to show what there is. */
const UNUSED: ts.CompilerOptions = { noUnusedLocals: false, noEmit: true }

const HOST: ts.ParseConfigFileHost = {
  ...ts.sys,
  onUnRecoverableConfigFileDiagnostic: ({ messageText }) => {
    throw new Error(ts.flattenDiagnosticMessageText(messageText, '\n'))
  },
}

/**
 * Runs a program to its end. What it imports is given: by name, and as the tests see it; so are
 * names that it finds without an import.
 */
export async function runProgram(
  code: string,
  modules: Readonly<Record<string, object>>,
  names: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS },
  })
  const parameters = ['require', 'exports', ...Object.keys(names)].join()
  const run: unknown = runInThisContext(`(async (${parameters}) => {${outputText}\n})`)
  if (typeof run !== 'function') throw new TypeError('A function should be one')
  const find = (name: string) => {
    const found = modules[name] ?? process.getBuiltinModule(name)
    if (found === undefined) throw new Error(`There is no module ${name} for the code of this page`)
    return found
  }
  await run(find, {}, ...Object.values(names))
}
