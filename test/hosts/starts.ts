/**
 * Configurations with which a server must not start: it would run unprotected without notice.
 *
 * @module
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type ServerSetup, startHaraka } from './haraka.js'
import type { HostVersion } from './versions.js'
import { startRedis, startZoneMta } from './zone-mta.js'

export interface StartCase {
  name: string
  kind: HostVersion['kind']
  plugins?: readonly string[]
  settings?: string | object
  /** A text that its output must contain */
  says: string
}

export interface StartResult {
  name: string
  /** Empty: correct */
  wrong: string[]
}

const zone = (settings: object) => ({ enabled: 'sender', ...settings })

export const starts: readonly StartCase[] = [
  {
    name: 'two lines for the plugin',
    kind: 'haraka',
    plugins: ['mta-sts/haraka', 'mta-sts'],
    says: 'names mta-sts more than once',
  },
  {
    name: 'a setting that does not exist',
    kind: 'haraka',
    settings: 'minimumSecurty=encrypted\n',
    says: 'config/mta-sts.ini: [main] has no setting "minimumSecurty"',
  },
  {
    name: 'a section that does not exist',
    kind: 'haraka',
    settings: '[override]\na.example=off\n',
    says: 'config/mta-sts.ini: unknown section [override]',
  },
  {
    name: 'a value that does not exist',
    kind: 'haraka',
    settings: 'minimumSecurity=strict\n',
    says: 'The option "minimumSecurity" must be one of',
  },
  {
    name: 'a file that does not exist',
    kind: 'haraka',
    settings: 'ca=/nowhere/ca.pem\n',
    says: 'ca: the file /nowhere/ca.pem cannot be read',
  },
  {
    name: 'a store of an unknown kind',
    kind: 'haraka',
    settings: 'store=mysql://localhost\n',
    says: 'A store is sqlite:PATH or redis://HOST',
  },
  {
    name: 'a store without its package',
    kind: 'haraka',
    settings: 'store=redis://localhost\n',
    says: 'For a store in Redis, install the package redis',
  },
  {
    name: 'reports without a key to sign them',
    kind: 'haraka',
    settings:
      '[reports]\norganizationName=A\ncontactInfo=a@a.example\nsubmitter=a.example\nstore=sqlite:x\n',
    says: '[reports] needs dkimSelector',
  },
  {
    name: 'a setting that does not exist',
    kind: 'zone-mta',
    settings: zone({ minimumSecurty: 'encrypted' }),
    says: '[main] has no setting "minimumSecurty"',
  },
  {
    name: 'an override that is neither off nor a policy',
    kind: 'zone-mta',
    settings: zone({ overrides: { 'a.example': 'none' } }),
    says: '[overrides] takes "off" for a.example',
  },
  {
    name: 'a port that the zone does not have',
    kind: 'zone-mta',
    settings: zone({ port: '0' }),
    says: 'The option "port" must be a whole number',
  },
]

export async function runStarts(setup: ServerSetup): Promise<StartResult[]> {
  const { kind } = setup.host
  const redis = kind === 'zone-mta' ? startRedis(setup.folder) : undefined
  const results: StartResult[] = []
  try {
    for (const [index, one] of starts.entries()) {
      if (one.kind === kind) results.push(await runStart(setup, one, index))
    }
  } finally {
    await redis?.stop()
  }
  return results
}

async function runStart(setup: ServerSetup, one: StartCase, index: number): Promise<StartResult> {
  const { plugins, settings, says } = one
  const folder = join(setup.folder, `start-${index}`)
  await mkdir(folder)
  const own: ServerSetup = {
    ...setup,
    folder,
    ...(plugins ? { plugins } : {}),
    ...(settings ? { settings } : {}),
  }
  const process = await (setup.host.kind === 'haraka' ? startHaraka(own) : startZoneMta(own))
  const wrong: string[] = []
  try {
    await process.until('ends', () => !process.running).catch(() => wrong.push('it goes on'))
    if (!process.running && (await process.ended()) === 0) wrong.push('it ended with status 0')
    if (!process.output.includes(says)) wrong.push(`its output does not say: ${says}`)
  } finally {
    await process.stop()
  }
  return { name: one.name, wrong }
}
