/**
 * `mta-sts generate`.
 *
 * @module
 */

import { MAX_AGE_LIMIT, type PolicyMode } from '../../policy/policy-file.js'
import { escapeRemoteText } from '../../text.js'
import {
  COMMON_HELP,
  COMMON_OPTIONS,
  domainArgument,
  NETWORK_HELP,
  NETWORK_OPTIONS,
  parseArguments,
  wholeNumber,
} from '../arguments.js'
import { type CliContext, type Command, EXIT, UsageError } from '../context.js'
import { formatRemark, toJson } from '../layout.js'
import { openNetwork } from '../network.js'
import { painter, progressOn } from '../terminal.js'
import { compareWithLive, type LiveComparison } from './live.js'
import { idOf, makeSetup, type Setup } from './setup.js'
import { caddySnippet, nginxSnippet, zoneLines } from './snippets.js'

const OPTIONS = {
  ...COMMON_OPTIONS,
  ...NETWORK_OPTIONS,
  domain: { type: 'string' },
  mx: { type: 'string', multiple: true },
  mode: { type: 'string', default: 'testing' },
  'max-age': { type: 'string', default: '604800' },
  id: { type: 'string' },
  rua: { type: 'string', multiple: true },
  check: { type: 'boolean' },
} as const

const HELP = `\
Usage: mta-sts generate --domain DOMAIN --mx HOST... [OPTION]...

Writes what a domain has to publish: the TXT records, the policy file, and how
nginx or Caddy serves it. It refuses what senders could not read.

  --domain DOMAIN   the domain of the mail addresses
  --mx HOST...      an MX host, or *.DOMAIN for those one label below; several
                    follow each other, or have an --mx each
  --mode MODE       enforce, testing (default) or none
  --max-age N       seconds that senders keep the policy; default 604800, a week
  --id ID           1 to 32 letters and digits; default: the time. Each change
                    of the policy needs another one
  --rua URI         where others send TLS reports: mailto:... or https://...;
                    may be there several times
  --check           compare with the MX records that the domain has now
${NETWORK_HELP}
${COMMON_HELP}

Exit status: 0 done; 1 done, but --check found MX records that the policy does
not name; 2 wrong usage, or nothing that senders could read; 3 done, but --check
could not look the MX records up. Warnings go to standard error.

JSON (--json), stable while "format" is 1: fields are added, never changed
  { "format": 1, "domain", "id", "mode", "mx", "maxAge",
    "records": [ { "name", "text" } ], "policy": { "url", "body" },
    "nginx", "caddy", "warnings": [ text ] }
`

const MODES: readonly PolicyMode[] = ['enforce', 'testing', 'none']

export const generate: Command = {
  summary: 'what a domain has to publish: records, policy file, web server',
  help: HELP,
  async run(argv, context) {
    const { values, positionals } = parseArguments(argv, OPTIONS)
    const { domain, check = false } = values
    const mx = [...(values.mx ?? []), ...positionals].flatMap((hosts) => hosts.split(','))
    if (domain === undefined) throw new UsageError('Which domain? --domain DOMAIN')
    if (mx.length === 0 && values.mode !== 'none') throw new UsageError('Which hosts? --mx HOST')
    const setup = makeSetup({
      domain: domainArgument(domain),
      mx,
      mode: modeOf(values.mode),
      maxAge: wholeNumber('--max-age', values['max-age'], { min: 0, max: MAX_AGE_LIMIT }),
      id: values.id ?? idOf(new Date((context.now ?? Date.now)())),
      rua: values.rua ?? [],
    })
    const live = check ? await look(setup, values, context) : undefined
    const warnings = live?.warnings ?? unlooked(setup)
    if (values.json) {
      const [nginx, caddy] = [nginxSnippet(setup), caddySnippet(setup)]
      context.stdout.write(toJson({ format: 1, ...setup, nginx, caddy, warnings }))
    } else {
      context.stdout.write(render(setup))
    }
    const paint = painter(context.stderr, context.env)
    for (const text of warnings) context.stderr.write(`${formatRemark('warning', text, paint)}\n`)
    return live?.exitStatus ?? EXIT.fine
  },
}

function modeOf(text: string): PolicyMode {
  const mode = MODES.find((one) => one === text)
  if (mode !== undefined) return mode
  throw new UsageError(`--mode takes ${MODES.join(', ')}, not "${escapeRemoteText(text)}".`)
}

async function look(
  setup: Setup,
  values: Parameters<typeof openNetwork>[0],
  context: CliContext,
): Promise<LiveComparison> {
  const { settings } = await openNetwork(values, context)
  const progress = progressOn(context)
  progress.show(`${setup.domain}: MX records`)
  try {
    return await compareWithLive(setup, settings)
  } finally {
    progress.clear()
  }
}

function unlooked({ domain, mode }: Setup): string[] {
  if (mode !== 'enforce') return []
  return [
    `Mode enforce, without a look: mail is lost to MX hosts that the policy does not name, or that fail TLS. Try --check, and "mta-sts check --connect ${domain}" once it is published; begin with --mode testing.`,
  ]
}

function render(setup: Setup): string {
  const { domain, records, policy } = setup
  const host = `mta-sts.${domain}`
  return [
    '; DNS. Publish the policy first, then the record that says it is there.',
    ...records.flatMap(zoneLines),
    `; and A and AAAA, or CNAME, for ${host}`,
    '',
    `# ${policy.url}`,
    policy.body.replaceAll('\r\n', '\n'),
    '# nginx',
    nginxSnippet(setup),
    '# Caddy',
    caddySnippet(setup),
  ].join('\n')
}
