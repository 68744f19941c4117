/**
 * Signs the zones with BIND's tools, and breaks those that must be bogus.
 *
 * @module
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ADDRESSES } from '../network.js'
import { run } from '../shell.js'
import { NS, SPOILT, ZONES, type ZoneLines, type ZoneName } from './domains.js'

const UNSIGNED: readonly string[] = ['unsigned.lab', 'child.optout.lab']

/** @returns the file of each zone by name, and the trust anchor for the root */
export async function signZones(
  directory: string,
  lines: ZoneLines,
): Promise<{ files: Map<string, string>; anchor: string }> {
  await mkdir(join(directory, 'keys'), { recursive: true })
  const files = new Map<string, string>()
  const delegations: string[] = []
  // Subzones first: a zone holds the DS records of the zones below it
  for (const zone of [...ZONES].filter((name) => name !== 'lab')) {
    const file = await write(directory, zone, zoneText(zone, lines[zone]))
    if (UNSIGNED.includes(zone)) {
      files.set(zone, file)
      continue
    }
    files.set(zone, await sign(directory, zone, file))
    const ds = await readFile(join(directory, 'keys', `dsset-${zone}.`), 'utf8')
    delegations.push(zone === 'bogus.lab' ? otherKey(ds) : ds)
  }
  await spoil(files.get('signed.lab') ?? '')
  const lab = await write(directory, 'lab', zoneText('lab', [...lines.lab, ...delegations]))
  files.set('lab', await sign(directory, 'lab', lab))
  const ds = await readFile(join(directory, 'keys', 'dsset-lab.'), 'utf8')
  const rootLines = [`lab. NS ${NS.good}`, `${NS.good} A ${ADDRESSES.signed}`, ds]
  const root = await write(directory, 'root', zoneText('', rootLines))
  files.set('.', await sign(directory, '', root))
  return { files, anchor: await trustAnchor(directory) }
}

function zoneText(zone: ZoneName | '', lines: readonly string[]): string {
  const addresses = {
    '@good': ADDRESSES.signed,
    '@lame': ADDRESSES.lame,
    '@silent': ADDRESSES.dead,
  }
  const text = [
    `$ORIGIN ${zone}.`,
    '$TTL 60',
    `@ SOA ${NS.good} hostmaster.lab. 1 3600 600 86400 60`,
    `@ NS ${NS.good}`,
    ...lines,
    '',
  ].join('\n')
  return text.replace(/@(?:good|lame|silent)\b/g, (at) => addresses[at as keyof typeof addresses])
}

async function write(directory: string, zone: string, text: string): Promise<string> {
  const file = join(directory, `${zone}.unsigned`)
  await writeFile(file, text)
  return file
}

async function sign(directory: string, zone: ZoneName | '', file: string): Promise<string> {
  const keys = join(directory, 'keys')
  const origin = zone === '' ? '.' : zone
  const algorithm = ['-q', '-K', keys, '-a', 'ECDSAP256SHA256']
  await run('dnssec-keygen', [...algorithm, '-f', 'KSK', origin])
  await run('dnssec-keygen', [...algorithm, origin])
  const signed = file.replace('.unsigned', '.signed')
  const times = zone === 'expired.lab' ? ['-P', '-s', '20200101000000', '-e', '20200201000000'] : []
  const denial = zone === 'optout.lab' ? ['-3', '-', '-H', '0', '-A'] : []
  const where = ['-S', '-K', keys, '-d', keys, '-o', origin, '-f', signed]
  await run('dnssec-signzone', ['-q', ...where, ...times, ...denial, file])
  return signed
}

/** A DS record of a key that the zone lacks: all of it is bogus. */
function otherKey(ds: string): string {
  return ds.replace(/[0-9A-F]{8}(\s*)$/gm, '00000000$1')
}

/** Changes RRsets of the signed zone, so that their signatures are invalid. */
async function spoil(file: string): Promise<void> {
  let text = await readFile(file, 'utf8')
  for (const [owner, type, from, to] of SPOILT) {
    const at = text.search(new RegExp(`^${owner.replaceAll('.', '\\.')}\\.signed\\.lab\\.\\s`, 'm'))
    const record = text.indexOf(`${type}\t`, at)
    const found = text.indexOf(from, record)
    if (at < 0 || record < 0 || found < 0) throw new Error(`${owner} has no ${type} to spoil`)
    text = `${text.slice(0, found)}${to}${text.slice(found + from.length)}`
  }
  await writeFile(file, text)
}

async function trustAnchor(directory: string): Promise<string> {
  const keys = join(directory, 'keys')
  for (const name of await readdir(keys)) {
    if (!/^K\.\+.*\.key$/.test(name)) continue
    const line = (await readFile(join(keys, name), 'utf8')).split('\n').find(isKsk)
    if (line !== undefined) return line
  }
  throw new Error('The root has no key that signs keys')
}

const isKsk = (line: string) => / DNSKEY 257 /.test(line)
