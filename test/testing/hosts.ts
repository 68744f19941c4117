/** Set-up of the tests of MX hosts: one world for a file, and clients of its hosts. */
import type { MailDomain } from '../../src/testing/index.js'
import { type Stage, useWorld } from '../e2e/support.js'
import { envelopeReplies, greeted, type RawClient } from './support.js'

export interface HostStage extends Stage {
  /** Makes a domain in mode `enforce` for one test. */
  fresh(): MailDomain
  /** Resolves to a client that has said EHLO to the domain's MX host. */
  greeted(domain: MailDomain): Promise<RawClient>
  /** Resolves to the replies of the domain's MX host to MAIL FROM and each RCPT TO. */
  envelope(domain: MailDomain, from: string, ...to: string[]): Promise<string[]>
}

/** Call it at the top of a test file. */
export function useHosts(): HostStage {
  const stage = useWorld()
  const fresh = () => stage.domain({ mode: 'enforce' })
  return Object.assign(stage, {
    fresh,
    greeted: (domain: MailDomain) => greeted(stage.world, domain.mx()),
    envelope: (domain: MailDomain, from: string, ...to: string[]) =>
      envelopeReplies(stage.world, domain.mx(), { from, to }),
  })
}
