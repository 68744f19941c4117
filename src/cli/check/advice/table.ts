/**
 * Every piece of advice that `check` gives: its code, how urgent it is, and its text. The order of
 * the table is the order of advice that is equally urgent.
 *
 * @module
 */
import { later, now, type Row, soon } from './row.js'
import { MX } from './table-mx.js'

const RECORD = {
  'record-several': now(
    ({ host, value }) =>
      `There are ${value} TXT records at ${host} that begin with "v=STSv1;", and senders then use none of them (RFC 8461 §3.1): leave one.`,
  ),
  'record-quotes': now(
    ({ host, value }) =>
      `The TXT record at ${host} contains quotation marks, which belong to zone files and not to the record: enter ${value} without them.`,
  ),
  'record-malformed': now(
    ({ host, detail }) =>
      `Senders cannot read the TXT record at ${host}: ${detail}. Publish "v=STSv1; id=...;", the id of 1 to 32 letters and digits.`,
  ),
  'record-unreachable': now(
    ({ host, detail }) =>
      `The TXT record at ${host} cannot be looked up (${detail}): senders that do not know the domain deliver without its policy. Check the name servers of the domain.`,
  ),
  'record-missing': now(
    ({ host }) =>
      `There is a policy file, but no sender looks for it without a TXT record: publish "v=STSv1; id=...;" at ${host}.`,
  ),
}

const POLICY_HOST = {
  'policy-host-missing': now(
    ({ host, domain }) =>
      `The TXT record says that there is a policy, but the policy host ${host} has no address: publish A and AAAA records for it, or take the TXT record of ${domain} away.`,
  ),
  'policy-host-lookup': now(
    ({ host, detail }) =>
      `The addresses of ${host} cannot be looked up (${detail}): check the name servers of the domain.`,
  ),
  'policy-host-private': now(
    ({ host, value }) =>
      `${host} has addresses only that senders do not connect to (${value}): private, loopback or reserved ones. It needs a public one.`,
  ),
  'policy-host-down': now(
    ({ host, detail }) =>
      `Nobody can connect to ${host} (${detail}): start its web server, or open port 443 to all senders.`,
  ),
  'policy-host-slow': now(
    ({ host }) =>
      `${host} does not deliver the policy in time (RFC 8461 §3.3 speaks of a minute, many senders wait less): serve it as a static file.`,
  ),
  'policy-host-certificate': now(
    ({ host, detail }) =>
      `Senders refuse the certificate of ${host}, and do not get the policy. ${detail}`,
  ),
  'policy-host-redirect': now(
    ({ host, value }) =>
      `${host} redirects (${value}), which no sender follows (RFC 8461 §3.3): it must answer with the policy itself.`,
  ),
  'policy-not-found': now(
    ({ host, value }) =>
      `${host} has no policy (${value}): put the file at /.well-known/mta-sts.txt. Mind the dot of .well-known, which some web servers hide.`,
  ),
  'policy-host-error': now(
    ({ host, value }) =>
      `${host} answers with status ${value}, an error of the web server: look into its log. Senders take status 200 only.`,
  ),
  'policy-status': now(
    ({ host, value }) =>
      `${host} answers with status ${value}. Senders take status 200 only (RFC 8461 §3.3).`,
  ),
  'policy-html': now(
    ({ host, value }) =>
      `${host} answers with a web page (${value}) in place of the policy: a page for everything, or of the hosting company. Serve the file itself, as text/plain.`,
  ),
  'policy-media-type': now(
    ({ host, value }) =>
      `${host} serves the policy as ${value}. Senders take text/plain only (RFC 8461 §3.2): set the content type of the file.`,
  ),
  'policy-too-large': now(
    ({ host }) =>
      `The policy of ${host} is longer than 64 KiB, and senders stop there (RFC 8461 §3.3): shorten it, with wildcards for example.`,
  ),
  'policy-transfer': now(
    ({ host, detail }) =>
      `The policy of ${host} does not arrive whole (${detail}): serve it uncompressed, as a static file with a Content-Length.`,
  ),
  'policy-invalid': now(
    ({ host, detail }) =>
      `Senders cannot read the policy of ${host}, and act as if there were none: ${detail}.`,
  ),
}

const PROTECTION = {
  'no-policy': now(
    ({ domain }) =>
      `To have mail protected, publish a policy: "mta-sts generate ${domain}" writes what it takes.`,
  ),
  'mode-none': now(
    ({ until }) =>
      `Mode none asks senders for nothing. To withdraw a policy for good, keep this one, with an id of its own, until ${until}, when no sender has an older one cached; then take the TXT record away, and the policy host last. To protect mail, publish mode testing, and enforce after it.`,
  ),
  'record-gone-policy-cached': now(
    ({ until }) =>
      `Senders with the policy cached apply it until ${until}, and refuse what it does not allow. To withdraw it safely, publish the TXT record again, with a new id, and a policy of mode none until then.`,
  ),
  'max-age-zero': now(
    () =>
      'max_age is 0: senders drop the policy as soon as they have it, and nothing is protected. Take 604800, a week, or more.',
  ),
}

const SOON = {
  'no-policy-beside-dane': soon(
    ({ domain }) =>
      `DANE protects the mail of senders that validate DNSSEC, and of nobody else. For the others, publish a policy as well: "mta-sts generate ${domain}" writes what it takes.`,
  ),
  'policy-host-certificate-expires': soon(
    ({ host, detail }) =>
      `The certificate of ${host} expires in ${detail}: renew it. With an expired one nobody gets the policy.`,
  ),
  'mx-certificate-expires': soon(
    ({ host, detail }) =>
      `The certificate of ${host} expires in ${detail}: renew it. With an expired one it gets no mail under enforce.`,
  ),
  'mx-weak-key': soon(
    ({ host, detail }) =>
      `The key of the certificate of ${host} is too short (${detail}), and many senders refuse it: get one with RSA of 2048 bits or more, or with ECDSA.`,
  ),
  'id-not-changed': soon(({ detail }) => detail),
  'policy-host-addresses-differ': soon(
    ({ host, value }) =>
      `${host} does not give the policy at every address: not at ${value}. Senders have to try another one.`,
  ),
  'mx-addresses-differ': soon(
    ({ host, value, detail }) =>
      `${host} is not the same at every address: ${detail} at ${value}. Senders go on to the next one; mend it, or take the address away.`,
  ),
  'pattern-unmatched': soon(({ detail }) => detail),
  'policy-id-field': soon(
    ({ domain, value }) =>
      `The policy file has a field "id: ${value}", which senders ignore: the id belongs into the TXT record at _mta-sts.${domain}.`,
  ),
  'max-age-short': soon(
    ({ value, detail }) =>
      `max_age is ${value} seconds (${detail}): whoever blocks the policy host for that long is rid of the policy. Take 604800, a week, or more.`,
  ),
  'mode-testing': soon(
    ({ detail }) =>
      `Mode testing protects nothing: ${detail}, change it to enforce, and the id with it.`,
  ),
  'mode-testing-ready': soon(
    ({ detail }) =>
      `Mode testing protects nothing, and the reports allow more (${detail}): change it to enforce, and the id with it.`,
  ),
  'mx-cname': soon(
    ({ host, value }) =>
      `The MX host ${host} is a CNAME for ${value}, which RFC 5321 §5.1 forbids; policy and certificate have to name ${host}. Publish its addresses in place of the CNAME, or name ${value} in the MX record.`,
  ),
  'mx-missing': soon(
    ({ domain }) =>
      `${domain} has no MX record, so senders take ${domain} itself for its MX host: publish "MX 10 ${domain}.", or the host that is meant.`,
  ),
  'tlsrpt-invalid': soon(
    ({ host, detail }) =>
      `The TLSRPT record at ${host} is of no use, and nobody reports: ${detail}.`,
  ),
}

const LATER = {
  'certificate-shorter-than-max-age': later(
    ({ host, detail, value }) =>
      `The certificate of ${host} expires in ${detail}, before the policy does that senders fetch now (max_age ${value}): a renewal that fails is mail that is refused. See that renewals are watched ("mta-sts watch").`,
  ),
  'mx-ipv6-unreachable': later(
    ({ host, value }) =>
      `${host} does not answer at its IPv6 address (${value}), and senders lose time there: open port 25, or take the AAAA record away.`,
  ),
  'mx-ipv6-missing': later(
    ({ domain }) =>
      `No MX host of ${domain} has an IPv6 address, and senders without IPv4 cannot reach it: publish an AAAA record for one of them.`,
  ),
  'mx-dane-tlsrpt-missing': later(
    ({ host }) =>
      `Reports on DANE go to the name of the TLSA records, not to the domain of the recipients (RFC 8460 §1.1): publish a TXT record at ${host}, "v=TLSRPTv1; rua=mailto:...", to get them.`,
  ),
  'mx-dane-missing': later(
    ({ host, value }) =>
      `The MX records are signed, and ${host} has no TLSA records: publish "3 1 1" and the SHA-256 of its public key at ${value}, for senders with DANE.`,
  ),
  'tlsrpt-missing': later(
    ({ host }) =>
      `Nobody tells you of failures: publish a TXT record at ${host}, "v=TLSRPTv1; rua=mailto:...", to get reports (RFC 8460).`,
  ),
}

/** The table, by code. */
export const ADVICE = {
  ...RECORD,
  ...POLICY_HOST,
  ...MX,
  ...PROTECTION,
  ...SOON,
  ...LATER,
} satisfies Record<string, Row>

export type AdviceCode = keyof typeof ADVICE

/** The row of a code. */
export function rowOf(code: AdviceCode): Row {
  return ADVICE[code]
}

/** Returns the place of a code among all: most urgent first, then in the order of the table. */
export const RANK: ReadonlyMap<string, number> = new Map(
  Object.keys(ADVICE).map((code, index) => [code, index]),
)
