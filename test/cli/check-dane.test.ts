/** `mta-sts check --dane`: TLSA records beside the policy. */

import nodemailer from 'nodemailer'
import { describe, expect, it } from 'vitest'
import { dane, dnssecResolver } from '../../src/dane/index.js'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import { DANE_FAULTS, type MailDomain } from '../../src/testing/index.js'
import { adviceCodes, useWorld } from './support.js'

const stage = useWorld()

async function look(domain: MailDomain, ...argv: string[]) {
  const resolver = dnssecResolver({ servers: [stage.world.dns.server] })
  const options = { dnssecResolver: resolver }
  const json = ['check', '--json', '--connect', '--dane', domain.name, ...argv]
  const { status, stdout } = await stage.cli(json, options)
  const text = await stage.cli(['check', '--connect', '--dane', domain.name], options)
  return { report: JSON.parse(stdout).domains[0], status, text: text.stdout }
}

describe('DANE', () => {
  it('[DANE-1] a record that matches', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dane()
    const { report, status, text } = await look(domain)
    expect(status).toBe(0)
    expect(report.mx.hosts[0].dane).toEqual({
      signed: true,
      records: 1,
      problem: null,
      outcome: 'proved',
    })
    expect(report.mx.hosts[0].sessions[0].tlsaMatches).toBe(true)
    expect(text).toContain('DANE: 1 TLSA record, one of which matches')
    expect(adviceCodes(report)).toEqual([])
  })

  it('a record that does not match: refused, and what to publish', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dane({ fails: 'old-key' })
    const { report, status, text } = await look(domain)
    expect(status).toBe(1)
    expect(report.verdict).toMatchObject({ status: 'refused' })
    expect(report.verdict.text).toContain('tlsa-mismatch')
    expect(text).toContain('DANE: 1 TLSA record, which do not match')
    expect(adviceCodes(report)).toEqual(['mx-dane-mismatch'])
    expect(report.advice[0].text).toContain(`_25._tcp.${domain.mx().name}`)
  })

  it('a signed domain without TLSA records, and an unsigned one', async () => {
    const signed = stage.domain({ mode: 'enforce' })
    signed.dane({ fails: 'no-tlsa' })
    expect(adviceCodes((await look(signed)).report)).toEqual(['mx-dane-missing'])
    const { report, text } = await look(stage.domain({ mode: 'enforce' }))
    expect(text).toContain('DANE: the MX records are not signed')
    expect(adviceCodes(report)).toEqual([])
  })

  it.each([
    ['pkix-records', 'mx-dane-unusable'],
    ['bogus-tlsa', 'mx-dane-lookup'],
    ['tlsa-servfail', 'mx-dane-lookup'],
  ] as const)('%s: %s', async (fails, code) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dane({ fails })
    expect(adviceCodes((await look(domain)).report)).toEqual([code])
    domain.dane()
    expect(adviceCodes((await look(domain)).report)).toEqual([])
  })

  it.each(DANE_FAULTS.map(({ name }) => name))(
    'refuses under enforce what the transport refuses: %s',
    async (fails) => {
      const domain = stage.domain({ mode: 'enforce' })
      domain.dane({ fails })
      const { report } = await look(domain)
      const resolver = dnssecResolver({ servers: [stage.world.dns.server] })
      const { resolver: _, ...sender } = stage.world.options()
      const transport = mtaStsTransport({ ...sender, dane: dane({ resolver }) })
      const transporter = nodemailer.createTransport(transport)
      const mail = { from: 'me@sender.example', to: `you@${domain.name}`, text: 'Hello!' }
      const taken = await transporter.sendMail(mail).then(
        () => true,
        () => false,
      )
      transporter.close()
      expect(report.mx.hosts[0]?.outcome === 'proved').toBe(taken)
    },
  )

  it('is not looked at without --dane', async () => {
    const { mx } = await stage.check(stage.domain({ mode: 'enforce' }))
    expect(mx.hosts[0]?.dane).toBeNull()
  })
})
