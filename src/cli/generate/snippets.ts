/**
 * Lines for a zone file, and configuration of two web servers that serve the policy.
 *
 * @module
 */
import { POLICY_PATH, policyHost } from '../../policy/names.js'
import type { Setup, TxtRecord } from './setup.js'

/** RFC 1035 §3.3.14: a string of a TXT record, in bytes */
const MAX_STRING = 255

const STRING_WIDTH = 72

/** nginx refuses a parameter of 4096 bytes or more; in bytes, with room to spare. */
const MAX_INLINE = 3900

/** Lines for a zone file; a long text comes in several strings, which readers join. */
export function zoneLines({ name, text }: TxtRecord): string[] {
  const strings = text.match(new RegExp(`.{1,${MAX_STRING}}`, 'gs')) ?? []
  const line = `${name}. IN TXT "${text}"`
  if (strings.length === 1 && line.length <= STRING_WIDTH) return [line]
  const short = text.match(new RegExp(`.{1,${STRING_WIDTH}}`, 'gs')) ?? []
  return [`${name}. IN TXT (`, ...short.map((part) => `  "${part}"`), ')']
}

/** The policy as a literal of several lines. It holds no quote, no `$` and no `{`. */
function literal({ policy }: Setup): string {
  return `"${policy.body.replaceAll('\r\n', '\n')}"`
}

function isInline({ policy }: Setup): boolean {
  return Buffer.byteLength(policy.body) <= MAX_INLINE
}

/** Returns the folder of a policy file that is too long for a literal. */
export function policyFolder({ domain }: Setup): string {
  return `/var/www/${policyHost(domain)}`
}

export function nginxSnippet(setup: Setup): string {
  const host = policyHost(setup.domain)
  const answer = isInline(setup)
    ? `return 200 ${literal(setup)};`
    : `# The policy above, saved as this file: it is too long to stand here
        alias ${policyFolder(setup)}${POLICY_PATH};`
  return `server {
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name ${host};
    ssl_certificate     /etc/letsencrypt/live/${host}/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/${host}/privkey.pem;

    location = ${POLICY_PATH} {
        default_type text/plain;
        ${answer}
    }
    location / {
        return 404;
    }
}
`
}

/** Caddy obtains the certificate itself. */
export function caddySnippet(setup: Setup): string {
  const answer = isInline(setup)
    ? `header ${POLICY_PATH} Content-Type text/plain
	respond ${POLICY_PATH} ${literal(setup)} 200
	respond 404`
    : `# The policy above, saved as ${policyFolder(setup)}${POLICY_PATH}
	handle ${POLICY_PATH} {
		root * ${policyFolder(setup)}
		header Content-Type text/plain
		file_server
	}
	handle {
		respond 404
	}`
  return `${policyHost(setup.domain)} {
	${answer}
}
`
}
