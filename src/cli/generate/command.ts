/**
 * `mta-sts generate`.
 *
 * @module
 */
import { policyHost } from '../../policy/names.js'
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
import { progressOn, screenOf } from '../terminal.js'
import { compareWithLive, type LiveMx, lookupLiveMx } from './live.js'
import { idOf, makeSetup, type Setup } from './setup.js'
import { caddySnippet, nginxSnippet, zoneLines } from './snippets.js'
import { warningsOn } from './warnings.js'

const OPTIONS = {
  ...COMMON_OPTIONS,
  ...NETWORK_OPTIONS,
  domain: { type: 'string' },
  mx: { type: 'string', multiple: true },
  mode: { type: 'string' },
  'max-age': { type: 'string' },
  id: { type: 'string' },
  rua: { type: 'string', multiple: true },
  check: { type: 'boolean' },
} as const

const HELP = `\
Usage: mta-sts generate DOMAIN [--mx HOST...] [OPTION]...

Writes what a domain has to publish: the TXT records, the policy file, and how
nginx or Caddy serves it. It refuses what senders could not read.

  --domain DOMAIN   the domain of the mail addresses, in place of the argument
  --mx HOST...      an MX host, or *.DOMAIN for those one label below; several
                    follow each other, or have an --mx each; default: the MX
                    records that the domain has now
  --mode MODE       enforce, testing (default) or none
  --max-age N       seconds that senders keep the policy; default 604800, a week
  --id ID           1 to 32 letters and digits; default: the time. Each change
                    of the policy needs another one
  --rua URI         where others send TLS reports: mailto:... or https://...;
                    may be given several times
  --check           compare with the MX records that the domain has now
${NETWORK_HELP}
${COMMON_HELP}

Exit status: 0 done; 1 done, but --check found MX records that the policy does
not name, or no such domain; 2 wrong usage, or nothing that senders could read;
3 done, but --check could not look the MX records up. Warnings go to standard
error.

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
    const { values, ...parsed } = parseArguments(argv, OPTIONS)
    const mode = modeOf(values.mode ?? 'testing')
    const { domain, hosts } = placesOf(values.domain, parsed)
    const mx = [...(values.mx ?? []), ...hosts].flatMap((list) => list.split(','))
    const fromDns = mx.length === 0 && mode !== 'none'
    const live = values.check || fromDns ? await look(domain, values, context) : undefined
    const setup = makeSetup({
      domain,
      mx: fromDns ? hostsOf(domain, live) : mx,
      mode,
      maxAge: wholeNumber('--max-age', values['max-age'] ?? '604800', {
        min: 0,
        max: MAX_AGE_LIMIT,
      }),
      id: values.id ?? idOf(new Date((context.now ?? Date.now)())),
      rua: values.rua ?? [],
    })
    const compared = values.check && live !== undefined ? compareWithLive(setup, live) : undefined
    const warnings = [
      ...warningsOn(setup),
      ...(compared?.warnings ?? (fromDns ? [] : unchecked(setup))),
    ]
    if (values.json) {
      const [nginx, caddy] = [nginxSnippet(setup), caddySnippet(setup)]
      context.stdout.write(toJson({ format: 1, ...setup, nginx, caddy, warnings }))
    } else {
      context.stdout.write(render(setup))
    }
    const screen = screenOf(context.stderr, context.env)
    for (const text of warnings) context.stderr.write(`${formatRemark('warning', text, screen)}\n`)
    return compared?.exitStatus ?? EXIT.fine
  },
}

interface Parsed {
  positionals: string[]
  tokens: ReadonlyArray<{ kind: string; name?: string; value?: string | undefined }>
}

/** A positional is a host of `--mx` when one comes before it, or when there is a `--domain`. */
function placesOf(
  named: string | undefined,
  { positionals, tokens }: Parsed,
): { domain: string; hosts: string[] } {
  if (named !== undefined) return { domain: domainArgument(named), hosts: positionals }
  const first = tokens.find(({ kind, name }) => kind === 'positional' || name === 'mx')
  const [domain, ...hosts] = positionals
  if (first?.kind !== 'positional' || domain === undefined) {
    throw new UsageError('Which domain? mta-sts generate DOMAIN')
  }
  return { domain: domainArgument(domain), hosts }
}

function modeOf(text: string): PolicyMode {
  const mode = MODES.find((one) => one === text)
  if (mode !== undefined) return mode
  throw new UsageError(`--mode takes ${MODES.join(', ')}, not "${escapeRemoteText(text)}".`)
}

async function look(
  domain: string,
  values: Parameters<typeof openNetwork>[0],
  context: CliContext,
): Promise<LiveMx> {
  const { settings } = await openNetwork(values, context)
  const progress = progressOn(context)
  progress.show(`${domain}: MX records`)
  try {
    return await lookupLiveMx(domain, settings)
  } finally {
    progress.clear()
  }
}

/** @throws UsageError when the DNS does not say which hosts there are */
function hostsOf(domain: string, live: LiveMx | undefined): string[] {
  switch (live?.kind) {
    case 'found':
      return live.hosts
    case 'null-mx':
      throw new UsageError(`Which hosts? --mx HOST. ${domain} takes no mail (null MX record).`)
    case 'no-domain':
      throw new UsageError(`Which hosts? --mx HOST. The domain ${domain} does not exist.`)
    default: {
      const why = `The MX records of ${domain} could not be looked up: ${live?.why ?? 'no answer'}.`
      throw new UsageError(`Which hosts? --mx HOST. ${why}`)
    }
  }
}

function unchecked({ domain, mode }: Setup): string[] {
  if (mode !== 'enforce') return []
  return [
    `Mode enforce, without a look at the MX records: mail is lost to MX hosts that the policy does not name, or that fail TLS. Try --check, and "mta-sts check --connect ${domain}" once it is published; begin with --mode testing.`,
  ]
}

function render(setup: Setup): string {
  const { domain, records, policy } = setup
  return [
    '; DNS. Publish the policy first, then the record that says it is there.',
    ...records.flatMap(zoneLines),
    `; and A and AAAA, or CNAME, for ${policyHost(domain)}`,
    '',
    `# ${policy.url}`,
    policy.body.replaceAll('\r\n', '\n'),
    '# nginx',
    nginxSnippet(setup),
    '# Caddy',
    caddySnippet(setup),
  ].join('\n')
}
