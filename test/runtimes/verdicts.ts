/**
 * The identity vectors and ten verdicts of the transport, on the runtime that runs this program.
 * Prints a line for each that is wrong; exits with 1 then.
 */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { PeerCertificate } from 'node:tls'
import nodemailer from 'nodemailer'
import { checkServerIdentity } from '../../src/index.js'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import { CertificateAuthority } from '../../src/testing/authority.js'
import { createMailWorld, type DomainOptions, type MailDomain } from '../../src/testing/index.js'

interface IdentityCase {
  host: string
  certificate: { san: string[]; cn?: string }
  expected: boolean
}

const [, , vectors = '', runtime = 'this runtime'] = process.argv

const wrong: string[] = []
let right = 0

function check(what: string, found: unknown, expected: unknown): void {
  if (found === expected) right++
  else wrong.push(`${what}: ${String(found)}, and not ${String(expected)}`)
}

async function checkIdentity(vectors: string): Promise<void> {
  const { cases }: { cases: IdentityCase[] } = JSON.parse(readFileSync(vectors, 'utf8'))
  const authority = await CertificateAuthority.create()
  for (const { host, certificate, expected } of cases) {
    const { cert } = await authority.issue(certificate)
    const { raw, subjectAltName = '' } = new X509Certificate(cert)
    const peer = { raw, subjectaltname: subjectAltName } as PeerCertificate
    const named = checkServerIdentity(host, peer) === undefined
    const what = `${host} by ${certificate.san.join() || certificate.cn}`
    // Deno's checkHost knows no wildcards: a host is refused there that could be taken
    if (expected && !named && /deno/.test(runtime)) console.log(`${runtime}: refuses ${what}`)
    else check(what, named, expected)
  }
}

type Scene = [
  name: string,
  options: DomainOptions,
  play: (domain: MailDomain) => void,
  outcome: string,
]

const ENFORCE = { mode: 'enforce' } as const

const SCENES: readonly Scene[] = [
  ['valid', ENFORCE, () => {}, 'delivered, sts'],
  ['wrong name', ENFORCE, (domain) => domain.mx().fails('wrong-name'), 'refused'],
  ['common name only', ENFORCE, (domain) => domain.mx().fails('cn-only'), 'refused'],
  ['expired', ENFORCE, (domain) => domain.mx().fails('expired'), 'refused'],
  ['self-signed', ENFORCE, (domain) => domain.mx().fails('self-signed'), 'refused'],
  ['no STARTTLS', ENFORCE, (domain) => domain.mx().fails('no-starttls'), 'refused'],
  ['STARTTLS 454', ENFORCE, (domain) => domain.mx().fails('starttls-454'), 'refused'],
  ['not named', { ...ENFORCE, patterns: ['mx.other.example'] }, () => {}, 'refused'],
  ['testing', { mode: 'testing' }, (domain) => domain.mx().fails('expired'), 'delivered, nothing'],
  ['no policy', {}, (domain) => domain.mx().fails('expired'), 'delivered, nothing'],
]

async function checkVerdicts(): Promise<void> {
  const world = await createMailWorld()
  for (const [index, [name, options, play, outcome]] of SCENES.entries()) {
    const domain = world.domain(`d${index}.example`, options)
    play(domain)
    const transport = nodemailer.createTransport(mtaStsTransport(world.options()))
    const message = { from: 'me@sender.example', to: `you@${domain.name}`, text: 'Hello' }
    const found = await transport.sendMail(message).then(
      ({ deliveries }) => `delivered, ${deliveries[0]?.proved}`,
      (error: { code?: string }) => (error.code === 'EMTASTS' ? 'refused' : String(error)),
    )
    check(name, found, outcome)
    check(`${name}: messages that arrived`, domain.inbox.length, outcome === 'refused' ? 0 : 1)
    transport.close()
  }
  await world.close()
}

await checkIdentity(vectors)
await checkVerdicts().catch((error: { code?: string; message?: string }) => {
  if (error.code !== 'ERUNTIME') throw error
  console.log(`${runtime}: the mail world refuses to start: ${error.message}`)
})
for (const line of wrong) console.log(`${runtime}: WRONG: ${line}`)
console.log(`${runtime}: ${right} right, ${wrong.length} wrong`)
process.exit(wrong.length === 0 ? 0 : 1)
