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
  language: string
  code: string
  /** Of its first line of code, from 1 */
  line: number
}

/** The fenced blocks of a page, in order. */
export function codeBlocks(markdown: string): CodeBlock[] {
  return [...markdown.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map((match) => ({
    language: match[1] ?? '',
    code: match[2] ?? '',
    line: markdown.slice(0, match.index).split('\n').length + 1,
  }))
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
  const program = ts.createProgram([...files.keys()], options, host)
  return ts
    .getPreEmitDiagnostics(program)
    .map((diagnostic) => ts.formatDiagnostic(diagnostic, host).trim())
}

/** A reader does not mind a name that is there to show what there is. */
const UNUSED: ts.CompilerOptions = { noUnusedLocals: false, noEmit: true }

const HOST: ts.ParseConfigFileHost = {
  ...ts.sys,
  onUnRecoverableConfigFileDiagnostic: ({ messageText }) => {
    throw new Error(ts.flattenDiagnosticMessageText(messageText, '\n'))
  },
}

/** Runs a program to its end. What it imports is given: by name, and as the tests see it. */
export async function runProgram(
  code: string,
  modules: Readonly<Record<string, object>>,
): Promise<void> {
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS },
  })
  const run: unknown = runInThisContext(`(async (require, exports) => {${outputText}\n})`)
  if (typeof run !== 'function') throw new TypeError('A function should be one')
  await run((name: string) => {
    const found = modules[name]
    if (found === undefined) throw new Error(`There is no module ${name} for the code of this page`)
    return found
  }, {})
}
