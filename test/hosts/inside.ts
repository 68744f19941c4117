/**
 * The part of a run inside the namespace: one world for each server, with and without the plugin.
 *
 * @module
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { styleText } from 'node:util'
import { createMailWorld } from 'mta-sts/testing'
import { cases, type HostCase, type Outcome } from './cases.js'
import { haraka, type ServerSetup } from './haraka.js'
import type { InstalledHost } from './install-hosts.js'
import { type Mode, type Task, WORDS } from './modes.js'
import { type CaseResult, CaseRunner, type MailServer, SENDER } from './run-cases.js'
import { runStarts } from './starts.js'
import { type HostResults, printResults } from './table.js'
import { zoneMta } from './zone-mta.js'

/** Cases that show that the plugin works at all */
const FEW = ['good', 'wrong name', 'wrong name, first of two']

async function runServer(task: Task, host: InstalledHost, mode: Mode): Promise<HostResults> {
  const isProtected = mode !== 'control'
  const page = task.pages[host.name]
  const folder = (mode === 'page' ? page : undefined) ?? join(task.folder, `${host.name}-${mode}`)
  await mkdir(folder, { recursive: true })
  const world = await createMailWorld()
  await world.expose()
  const ca = join(folder, 'ca.pem')
  await writeFile(ca, world.ca)
  world.domain(SENDER)
  const setup: ServerSetup = {
    host,
    folder,
    user: task.user,
    ca,
    isProtected,
    ...(mode === 'short-line' ? { plugins: ['mta-sts'] } : {}),
    ...(mode === 'dane' ? { withDane: true } : {}),
    ...(mode === 'page' ? { isSetUp: true } : {}),
  }
  const server: MailServer = await (host.kind === 'haraka' ? haraka(setup) : zoneMta(setup))
  const runner = new CaseRunner(world, server, isProtected)
  const results: CaseResult[] = []
  try {
    for (const one of cases) {
      if (!isPlayed(one, host, mode)) continue
      if (task.only && !one.name.startsWith(task.only)) continue
      results.push(await runner.run(one, expectation(one, host, isProtected)))
    }
  } finally {
    await server.stop()
    await world.close()
  }
  const starts = mode === 'protected' && !task.only ? await runStarts(setup) : []
  return { host: host.name, mode, results, starts }
}

function isPlayed(one: HostCase, { kind }: InstalledHost, mode: Mode): boolean {
  if (one.only && one.only !== kind) return false
  if (mode === 'short-line' || mode === 'page') return FEW.includes(one.name)
  return (one.withDane ?? false) === (mode === 'dane')
}

function expectation(one: HostCase, host: InstalledHost, isProtected: boolean): Outcome {
  if (isProtected) return one.protected
  if (host.kind === 'haraka') return one.haraka
  return (host.version.startsWith('3.10.') ? one.zoneMta310 : undefined) ?? one.zoneMta
}

async function main([folder = '']: readonly string[]): Promise<number> {
  const task: Task = JSON.parse(await readFile(join(folder, 'task.json'), 'utf8'))
  const begun = performance.now()
  const all: HostResults[] = []
  for (const host of task.hosts) {
    for (const mode of task.modes) {
      if (mode === 'short-line' && host.kind !== 'haraka') continue
      if (mode === 'page' && task.pages[host.name] === undefined) continue
      const seconds = ((performance.now() - begun) / 1000).toFixed(1).padStart(6)
      console.log(styleText('dim', `${seconds} s  ${host.name}, ${WORDS[mode]}`))
      all.push(await runServer(task, host, mode))
    }
  }
  printResults(all)
  const red = all
    .flatMap(({ results, starts }) => [...results, ...starts])
    .filter(({ wrong }) => wrong.length > 0)
  return red.length > 0 ? 1 : 0
}

main(process.argv.slice(2)).then(
  (status) => process.exit(status),
  (error: unknown) => {
    console.error(error)
    process.exit(1)
  },
)
