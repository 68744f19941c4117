/** The structure of src: imports between files, and facts that are decided in one place only. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { SLOW } from '../vitest.shared.js'

const SOURCE = fileURLToPath(new URL('../src/', import.meta.url))

/** Folders and files of src; each imports from its own row and from rows above it. */
const ROWS: readonly (readonly string[])[] = [
  [
    'builtins.ts',
    'installed.ts',
    'text.ts',
    'version.ts',
    'logger.ts',
    'errors.ts',
    'events.ts',
    'option-checks.ts',
  ],
  ['net'],
  ['dns'],
  ['tls'],
  ['dane'],
  ['https'],
  ['smtp'],
  ['storage'],
  ['policy'],
  ['delivery'],
  ['options.ts'],
  ['mta-sts.ts'],
  ['nodemailer'],
  ['tlsrpt'],
  ['plugins'],
  ['haraka'],
  ['zone-mta'],
  ['testing'],
  ['cli'],
  ['redis.ts', 'sqlite.ts'],
  ['index.ts'],
]

/** Imports of types that point down a row, each with the reason for it. */
const TYPES_FROM_BELOW: Readonly<Record<string, string>> = {
  'events.ts -> tls/failures.ts': 'events carry failures; events are published from every row',
  'events.ts -> tls/security.ts': 'events carry proofs; events are published from every row',
}

/** Two files that know each other's types; the import at run time goes one way only. */
const TYPES_IN_A_CIRCLE: Readonly<Record<string, string>> = {
  'testing/ports.ts -> testing/endpoint.ts': 'a port is held by an endpoint',
  'testing/policy-server.ts -> testing/policy-site.ts': 'a site answers on its servers',
  'testing/mx-session.ts -> testing/mx-server.ts': 'a session belongs to its server',
  'testing/nodemailer-options.ts -> testing/api.ts': 'the public types of the mail world',
}

/** Files that set `permanent`: replies, routing, and the classes of errors that are never final. */
const SETS_PERMANENT = [
  'delivery/deliver.ts',
  'delivery/errors.ts',
  'delivery/mx-hosts.ts',
  'net/connect.ts',
  'smtp/error-meaning.ts',
  'smtp/errors.ts',
  'tls/failures.ts',
]

interface Import {
  from: string
  to: string
  typeOnly: boolean
}

const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name: name.replaceAll('\\', '/'), tree: parse(name) }))

const imports = files.flatMap(({ name, tree }) => importsOf(name, tree))

function parse(name: string): ts.SourceFile {
  const text = readFileSync(join(SOURCE, name), 'utf8')
  return ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true)
}

function importsOf(name: string, tree: ts.SourceFile): Import[] {
  const found: Import[] = []
  const add = (specifier: ts.Expression | undefined, typeOnly: boolean) => {
    if (!specifier || !ts.isStringLiteral(specifier) || !specifier.text.startsWith('.')) return
    const to = normalize(join(dirname(name), specifier.text)).replaceAll('\\', '/')
    found.push({ from: name, to: to.replace(/\.js$/, '.ts'), typeOnly })
  }
  visit(tree, (node) => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, isTypeImport(node.importClause))
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false)
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal as ts.Expression, true)
    }
  })
  return found
}

function isTypeImport(clause: ts.ImportClause | undefined): boolean {
  if (clause === undefined) return false
  if (clause.isTypeOnly) return true
  const names = clause.namedBindings
  if (clause.name || !names || !ts.isNamedImports(names)) return false
  return names.elements.every(({ isTypeOnly }) => isTypeOnly)
}

function visit(node: ts.Node, see: (node: ts.Node) => void): void {
  see(node)
  ts.forEachChild(node, (child) => visit(child, see))
}

function rowOf(file: string): number {
  const [first = ''] = file.split('/')
  return ROWS.findIndex((row) => row.includes(first))
}

/** Returns the names of the files in which a node is found. */
function filesWith(matches: (node: ts.Node) => boolean): string[] {
  const found = files.filter(({ tree }) => {
    let has = false
    visit(tree, (node) => {
      has ||= matches(node)
    })
    return has
  })
  return found.map(({ name }) => name).sort()
}

/** Whether a node gives a value to a property, in an object literal or by assignment. */
function sets(node: ts.Node, property: string): boolean {
  if (ts.isPropertyAssignment(node) || ts.isShorthandPropertyAssignment(node)) {
    return nameOf(node.name) === property
  }
  if (ts.isPropertyDeclaration(node)) {
    return node.initializer !== undefined && nameOf(node.name) === property
  }
  if (!ts.isBinaryExpression(node) || !isAssignment(node.operatorToken.kind)) return false
  const { left } = node
  if (ts.isPropertyAccessExpression(left)) return left.name.text === property
  return ts.isElementAccessExpression(left) && nameOf(left.argumentExpression) === property
}

function isAssignment(kind: ts.SyntaxKind): boolean {
  return kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment
}

function nameOf(node: ts.Node): string | undefined {
  if (ts.isComputedPropertyName(node)) return nameOf(node.expression)
  return ts.isIdentifier(node) || ts.isStringLiteralLike(node) ? node.text : undefined
}

/** Returns the files of a circle of imports; undefined when nothing imports in a circle. */
function findCircle(edges: readonly Import[]): string[] | undefined {
  const next = new Map<string, Import[]>()
  for (const edge of edges) next.set(edge.from, [...(next.get(edge.from) ?? []), edge])
  const done = new Set<string>()
  const follow = (file: string, path: readonly string[]): string[] | undefined => {
    const start = path.indexOf(file)
    if (start >= 0) return [...path.slice(start), file]
    if (done.has(file)) return undefined
    for (const { to } of next.get(file) ?? []) {
      const circle = follow(to, [...path, file])
      if (circle) return circle
    }
    done.add(file)
    return undefined
  }
  for (const { from } of edges) {
    const circle = follow(from, [])
    if (circle) return circle
  }
  return undefined
}

function commentsOf(tree: ts.SourceFile): string[] {
  const ranges = new Map<number, string>()
  visit(tree, (node) => {
    const { text } = tree
    const around = [
      ...(ts.getLeadingCommentRanges(text, node.getFullStart()) ?? []),
      ...(ts.getTrailingCommentRanges(text, node.getEnd()) ?? []),
    ]
    for (const { pos, end } of around) ranges.set(pos, text.slice(pos, end))
  })
  return [...ranges.values()]
}

describe('imports', () => {
  it('are read from every file, including type imports', () => {
    expect(files.length).toBeGreaterThan(200)
    expect(imports.length).toBeGreaterThan(700)
    expect(imports).toContainEqual({ from: 'events.ts', to: 'tls/failures.ts', typeOnly: true })
    expect(imports.filter(({ typeOnly }) => !typeOnly).length).toBeGreaterThan(400)
    const known = new Set(files.map(({ name }) => name))
    expect(imports.filter(({ to }) => !known.has(to))).toEqual([])
  })

  it('come from the same folder or from a row above it', () => {
    expect(files.filter(({ name }) => rowOf(name) < 0).map(({ name }) => name)).toEqual([])
    const down = imports.filter(
      ({ from, to, typeOnly }) =>
        rowOf(to) > rowOf(from) && !(typeOnly && `${from} -> ${to}` in TYPES_FROM_BELOW),
    )
    expect(down).toEqual([])
  })

  it('of index.ts do not exist', () => {
    expect(imports.filter(({ to }) => /(?:^|\/)index\.ts$/.test(to))).toEqual([])
  })

  it('form no circle at run time', () => {
    expect(findCircle(imports.filter(({ typeOnly }) => !typeOnly))).toBeUndefined()
    const edge = (from: string, to: string) => ({ from, to, typeOnly: false })
    expect(findCircle([edge('a', 'b'), edge('b', 'c'), edge('c', 'b')])).toEqual(['b', 'c', 'b'])
  })

  it('form no circle of types, except for the listed ones', () => {
    const others = imports.filter(({ from, to }) => !(`${from} -> ${to}` in TYPES_IN_A_CIRCLE))
    expect(findCircle(others)).toBeUndefined()
    const listed = imports.filter(({ from, to }) => `${from} -> ${to}` in TYPES_IN_A_CIRCLE)
    expect(listed.filter(({ typeOnly }) => !typeOnly)).toEqual([])
    expect(listed.length).toBeGreaterThanOrEqual(Object.keys(TYPES_IN_A_CIRCLE).length)
  })
})

describe('one owner', () => {
  it('`permanent` is set for replies, for routing, and by errors that are never final', () => {
    const found = filesWith((node) => sets(node, 'permanent'))
    // The mail world's own mailer reports the outcome of a message: nothing decides by it
    expect(found.filter((name) => !name.startsWith('testing/'))).toEqual(SETS_PERMANENT)
  })

  it('`rejectUnauthorized` is false, or a variable, in tls/options.ts only', () => {
    const found = filesWith(
      (node) =>
        ts.isPropertyAssignment(node) &&
        sets(node, 'rejectUnauthorized') &&
        node.initializer.kind !== ts.SyntaxKind.TrueKeyword,
    )
    // A server of the mail world asks for client certificates, and may do without
    expect(found.filter((name) => name !== 'testing/tls-settings.ts')).toEqual(['tls/options.ts'])
    const others = filesWith(
      (node) => sets(node, 'rejectUnauthorized') && !ts.isPropertyAssignment(node),
    )
    expect(others).toEqual([])
  })

  it('no private field of Nodemailer is read outside nodemailer/smart-host*', () => {
    const PRIVATE = /^(?:_socket|lastServerResponse|upgrading|_supportedExtensions)$/
    const found = filesWith(
      (node) => (ts.isIdentifier(node) || ts.isStringLiteralLike(node)) && PRIVATE.test(node.text),
    )
    // The mail world's MX host is smtp-server's own session class, extended
    const allowed = /^nodemailer\/smart-host|^testing\/smtp-session\.ts$/
    expect(found.filter((name) => !allowed.test(name))).toEqual([])
  })
})

it('comments cite RFCs, and no document outside the repository', () => {
  const citing = files.flatMap(({ name, tree }) =>
    commentsOf(tree)
      .filter((comment) => /\bDESIGN\b|\bD\d{1,2}\b/.test(comment))
      .map((comment) => `${name}: ${comment}`),
  )
  expect(citing).toEqual([])
  const [file] = files
  expect(file && commentsOf(file.tree).length).toBeGreaterThan(0)
})

it('`npm run test:quick` leaves out every test file that starts processes', () => {
  const tests = new URL('./', import.meta.url)
  const starting = readdirSync(tests, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .filter((name) => /node:child_process/.test(readFileSync(new URL(name, tests), 'utf8')))
    .filter((name) => name !== 'architecture.test.ts')
  expect(starting).not.toEqual([])
  expect(starting.filter((name) => !SLOW.some((start) => name.startsWith(start)))).toEqual([])
})
