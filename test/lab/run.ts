/**
 * The package against servers that others wrote: BIND, Unbound, nginx, Postfix and Exim, in
 * network namespaces of its own. Nothing leaves the machine.
 *
 *     npm run test:lab                                every domain, and the outages
 *     npm run test:lab -- --only expired,sni,outage   some of them
 *     npm run test:lab -- --keep                      leaves the servers' files and logs in /tmp
 *
 * Needs root, and the packages that `test/lab/install.sh` installs. Ends with status 1 when a case
 * is red, 2 when the lab cannot be built here.
 */
import { parseArgs, styleText } from 'node:util'
import { type CaseResult, runCases } from './cases.js'
import { domains } from './domains.js'
import { Lab, removeLab } from './lab.js'
import { outageDomains, runOutages } from './outages.js'
import { missingRequirements } from './requirements.js'
import { printSummary, printTable } from './table.js'
import type { LabDomain } from './vocabulary.js'

const { values: options } = parseArgs({
  options: { only: { type: 'string' }, keep: { type: 'boolean', default: false } },
})

async function main(): Promise<number> {
  const missing = await missingRequirements()
  if (missing.length > 0) {
    for (const what of missing) console.error(`test:lab: ${what}`)
    return 2
  }
  const { cases, outages } = chosen(options.only)
  if (cases.length === 0 && !outages) {
    console.error(`test:lab: no domain of the table is called ${options.only}`)
    return 2
  }
  const begun = performance.now()
  const tell = (what: string) => {
    const seconds = ((performance.now() - begun) / 1000).toFixed(1).padStart(6)
    console.log(styleText('dim', `${seconds} s  ${what}`))
  }
  const results: CaseResult[] = []
  tell('Packing the package, starting the servers')
  const lab = await Lab.create([...cases, ...(outages ? outageDomains : [])])
  const own = new Set(cases)
  if (cases.length > 0) {
    const placed = lab.domains.filter(({ spec }) => own.has(spec))
    results.push(...(await runCases(lab, placed, tell)))
  }
  if (outages) results.push(...(await runOutages(lab, tell)))
  tell('Done')
  printTable(results)
  printSummary(results)
  return results.some(({ wrong }) => wrong.length > 0) ? 1 : 0
}

function chosen(only: string | undefined): { cases: LabDomain[]; outages: boolean } {
  if (only === undefined) return { cases: [...domains], outages: true }
  const names = only.split(',')
  return {
    cases: domains.filter(({ name }) => names.includes(name)),
    outages: names.includes('outage'),
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
