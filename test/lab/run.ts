/**
 * Tests the package against third-party servers: BIND, Unbound, nginx, Postfix and Exim, in
 * separate network namespaces. Nothing leaves the machine.
 *
 * npm run test:lab every domain, the outages, and DANE
 * npm run test:lab -- --only expired,sni,outage some of them
 * npm run test:lab -- --only dane only the DANE part
 * npm run test:lab -- --keep keeps the servers' files and logs in /tmp
 *
 * Needs root, and the packages that `test/lab/install.sh` installs. Exits with status 1 when a case
 * fails, 2 when the lab cannot be built here.
 */
import { parseArgs, styleText } from 'node:util'
import { type CaseResult, runCases } from './cases.js'
import { runDane } from './dane/run-dane.js'
import { domains } from './domains.js'
import { Lab, removeLab } from './lab.js'
import { outageDomains, runOutages } from './outages.js'
import { missingRequirements } from './requirements.js'
import { printSummary, printTable } from './table.js'

const { values: options } = parseArgs({
  options: { only: { type: 'string' }, keep: { type: 'boolean', default: false } },
})

async function main(): Promise<number> {
  const missing = await missingRequirements()
  if (missing.length > 0) {
    for (const what of missing) console.error(`test:lab: ${what}`)
    return 2
  }
  const { cases, outages, dane } = chosen(options.only)
  if (cases.length === 0 && !outages && !dane) {
    console.error(`test:lab: no domain of the table is called ${options.only}`)
    return 2
  }
  const begun = performance.now()
  const tell = (what: string) => {
    const seconds = ((performance.now() - begun) / 1000).toFixed(1).padStart(6)
    console.log(styleText('dim', `${seconds} s  ${what}`))
  }
  const results: CaseResult[] = []
  if (cases.length > 0 || outages) {
    tell('Packing the package, starting the servers')
    const lab = await Lab.create([...cases, ...(outages ? outageDomains : [])])
    const own = new Set(cases)
    if (cases.length > 0) {
      const placed = lab.domains.filter(({ spec }) => own.has(spec))
      results.push(...(await runCases(lab, placed, tell)))
    }
    if (outages) results.push(...(await runOutages(lab, tell)))
    // The DANE part uses the same namespaces and addresses
    if (dane) removeLab(options.keep)
  }
  if (dane) results.push(...(await runDane(tell)))
  tell('Done')
  printTable(results)
  printSummary(results)
  return results.some(({ wrong }) => wrong.length > 0) ? 1 : 0
}

function chosen(only: string | undefined) {
  if (only === undefined) return { cases: [...domains], outages: true, dane: true }
  const names = only.split(',')
  return {
    cases: domains.filter(({ name }) => names.includes(name)),
    outages: names.includes('outage'),
    dane: names.includes('dane'),
  }
}

function end(status: number): never {
  removeLab(options.keep)
  process.exit(status)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => end(130))
const status = await main().catch((error: unknown) => {
  console.error(error)
  return 1
})
end(status)
