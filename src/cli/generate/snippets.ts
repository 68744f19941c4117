/**
 * How to publish it: lines for a zone file, and for two web servers.
 *
 * @module
 */
import type { Setup, TxtRecord } from './setup.js'

/** RFC 1035 §3.3.14: a string of a TXT record, in bytes */
const MAX_STRING = 255

const STRING_WIDTH = 72

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

export function nginxSnippet(setup: Setup): string {
  const host = `mta-sts.${setup.domain}`
  return `server {
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name ${host};
    ssl_certificate     /etc/letsencrypt/live/${host}/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/${host}/privkey.pem;

    location = /.well-known/mta-sts.txt {
        default_type text/plain;
        return 200 ${literal(setup)};
    }
    location / {
        return 404;
    }
}
`
}

/** Caddy sees to the certificate by itself. */
export function caddySnippet(setup: Setup): string {
  return `mta-sts.${setup.domain} {
	header /.well-known/mta-sts.txt Content-Type text/plain
	respond /.well-known/mta-sts.txt ${literal(setup)} 200
	respond 404
}
`
}
