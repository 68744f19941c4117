/**
 * Advice on MX hosts: the rows of the table that stop mail under enforce.
 *
 * @module
 */
import { now } from './row.js'

export const MX = {
  'mx-certificate-name': now(
    ({ host, detail }) =>
      `The certificate of ${host} does not name it (${detail}): it needs ${host} as a DNS name (SAN). Get one for the name in the MX record, or change the MX record to a name that it has.`,
  ),
  'mx-certificate-expired': now(
    ({ host, detail }) =>
      `The certificate of ${host} has expired (${detail}): renew it, and have the mail server reload it.`,
  ),
  'mx-certificate-not-yet-valid': now(
    ({ host, detail }) =>
      `The certificate of ${host} is not valid yet (${detail}): use the previous one until then, or check the clock of the machine that issued it.`,
  ),
  'mx-certificate-chain': now(
    ({ host }) =>
      `${host} does not send the intermediate certificate: configure the full chain (fullchain.pem, not cert.pem).`,
  ),
  'mx-certificate-self-signed': now(
    ({ host }) =>
      `The certificate of ${host} is self-signed, which proves nothing to others: get one of a public authority.`,
  ),
  'mx-certificate-untrusted': now(
    ({ host, detail }) =>
      `The certificate of ${host} is not of an authority that senders trust (${detail}): get one of a public authority.`,
  ),
  'mx-tls-version': now(
    ({ host }) => `${host} has no TLS version that senders accept: switch on TLS 1.2 and 1.3.`,
  ),
  'mx-handshake': now(
    ({ host, detail }) =>
      `The TLS handshake with ${host} fails (${detail}): look into the log of the mail server, and at what stands in front of it.`,
  ),
  'mx-without-starttls': now(
    ({ host, detail }) =>
      `${detail}${host} does not offer STARTTLS: under enforce it gets no mail. Set up TLS there, or take its MX record away.`,
  ),
  'mx-starttls-refused': now(
    ({ host, detail }) =>
      `${host} offers STARTTLS and refuses it${detail}: most often it cannot read its certificate or key. Look into the log of the mail server.`,
  ),
  'mx-starttls-unanswered': now(
    ({ host }) =>
      `${host} offers STARTTLS and does not answer it: look for a firewall or a proxy in front of the mail server that changes SMTP.`,
  ),
  'mx-plaintext-after-starttls': now(
    ({ host }) =>
      `${host} sends plaintext after its reply to STARTTLS, as an attacker would (RFC 3207 §6): update the mail server, or take away what stands in front of it.`,
  ),
  'mx-dane-mismatch': now(
    ({ host, value }) =>
      `No TLSA record of ${host} matches its certificate, and senders with DANE refuse it: publish one that does at ${value}, before the certificate is changed.`,
  ),
  'mx-dane-unusable': now(
    ({ host, detail }) =>
      `The TLSA records of ${host} are of no use to senders (${detail}): publish "3 1 1" and the SHA-256 of the public key.`,
  ),
  'mx-dane-lookup': now(
    ({ host, detail }) =>
      `DNSSEC fails for ${host} (${detail}), and senders with DANE defer mail: check the signatures of its zone.`,
  ),
  'mx-not-in-policy': now(
    ({ host, value, detail, until }) =>
      `The policy does not name ${host}, and no mail ${detail} there: add ${value} and change the id, or take the MX record away. Senders with the present policy cached may need until ${until}: a new MX host should not be the only one before.`,
  ),
  'mx-is-address': now(
    ({ host, domain }) =>
      `The MX record of ${domain} is an address (${host}), and must be a host name (RFC 5321 §5.1): give the host a name, with a certificate for it.`,
  ),
  'mx-null-beside-others': now(
    ({ domain }) =>
      `${domain} has a null MX (".") beside other MX records, which contradict each other (RFC 7505 §3): take it away.`,
  ),
  'mx-invalid-name': now(
    ({ host, domain }) =>
      `The MX record of ${domain} names "${host}", which is no host name: mend the record.`,
  ),
  'mx-underscore': now(
    ({ host }) =>
      `The MX host ${host} has an underscore in its name: a policy cannot name it, nor can a certificate. Give it another name.`,
  ),
  'mx-no-such-host': now(
    ({ host }) =>
      `The MX host ${host} does not exist in the DNS: publish its addresses, or take the MX record away.`,
  ),
  'mx-no-address': now(
    ({ host }) => `The MX host ${host} has no address: publish one, or take the MX record away.`,
  ),
  'mx-private': now(
    ({ host, value }) =>
      `The MX host ${host} has addresses only that senders do not connect to (${value}): it needs a public one.`,
  ),
  'mx-lookup': now(
    ({ host, detail }) =>
      `The addresses of ${host} cannot be looked up (${detail}): check the name servers of its domain.`,
  ),
  'mx-down': now(
    ({ host, detail }) =>
      `${host} could not be talked to (${detail}). Where other hosts can be reached from here, check that it runs and that its port 25 is open.`,
  ),
}
