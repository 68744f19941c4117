/**
 * Creates mail worlds.
 *
 * @module
 */
import type { MailWorld, MailWorldOptions } from './api.js'
import { CertificateAuthority } from './authority.js'
import { WorldClock } from './clock.js'
import { DnsServer } from './dns-server.js'
import type { Surroundings } from './endpoint.js'
import { WorldLog } from './log.js'
import { Loopback } from './loopback.js'
import { Network } from './network.js'
import { loadPeers } from './optional-packages.js'
import { seeded } from './random.js'
import { checkRuntime } from './runtime-check.js'
import { sharingContexts } from './smtp-server.js'
import { Register } from './standing.js'
import { checkWorldOptions, World } from './world.js'
import { Zone } from './zone.js'

/** Begun at import, to be done when the first world is made; that call reports failures. */
const loading = Promise.all([loadPeers(), checkRuntime()])
loading.catch(() => undefined)

/**
 * Makes a mail world: a DNS server, an HTTPS policy host, SMTP servers and a certificate authority
 * on loopback, each as real as it gets. Nothing is shared between worlds; close each of them.
 *
 * @example
 * const world = await createMailWorld()
 * const bob = world.domain('bob.example', { mode: 'enforce' })
 * const transporter = nodemailer.createTransport(mtaStsTransport(world.options()))
 *
 * bob.mx().fails('wrong-name')
 * await expect(transporter.sendMail(message)).rejects.toMatchObject({ code: 'EMTASTS' })
 * await world.close()
 *
 * @throws MtaStsError `EPEER` when a package is missing; `ERUNTIME` on a runtime that takes a
 *   certificate for another host
 */
export async function createMailWorld(options: MailWorldOptions = {}): Promise<MailWorld> {
  checkWorldOptions(options)
  const [peers] = await loading
  const clock = new WorldClock()
  const log = new WorldLog()
  const zone = new Zone()
  const [authority, loopback, dnsServer] = await Promise.all([
    CertificateAuthority.create(),
    Loopback.open(),
    DnsServer.open({
      dnsPacket: peers.dnsPacket,
      zone,
      onQuery: (query) => log.add({ kind: 'query', ...query, at: clock.now() }),
    }),
  ])
  let random = seeded(1)
  let world: World | undefined
  const surroundings: Surroundings = {
    peers: { ...peers, SMTPServer: sharingContexts(peers.SMTPServer) },
    authority,
    clock,
    log,
    zone,
    loopback,
    register: new Register(),
    ports: new Set(),
    random: () => random(),
    explain: () => world?.explain() ?? '',
    strays: () => world?.strays ?? [],
    assertOpen: (what) => world?.assertOpen(what),
  }
  const network = new Network(surroundings, loopback)
  const seed = (source: () => number): void => {
    random = source
  }
  world = new World({ surroundings, network, dnsServer, options, seed })
  return world
}
