import nodemailer from 'nodemailer'
import { afterEach, describe, expect, it } from 'vitest'
import { MtaSts } from '../../src/index.js'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import { createMailWorld } from '../../src/testing/index.js'

const message = { from: 'me@sender.example', to: 'b@bob.example', subject: 'Hi', text: 'Hello!' }

describe('JSON.stringify() of the error of a refused delivery', () => {
  const worlds: Array<Awaited<ReturnType<typeof createMailWorld>>> = []

  afterEach(async () => {
    for (const world of worlds.splice(0)) await world.close()
  })

  it.each(['wrong-name', 'cn-only', 'partial-wildcard'] as const)(
    '[STS-58] writes failures and causes without the certificate: %s',
    async (fault) => {
      const world = await createMailWorld()
      worlds.push(world)
      world.domain('bob.example', { mode: 'enforce' }).mx().fails(fault)
      await using sts = new MtaSts(world.options())
      const transporter = nodemailer.createTransport(mtaStsTransport(world.options()))

      for (const delivery of [sts.open('bob.example'), transporter.sendMail(message)]) {
        const error = await delivery.then(
          () => undefined,
          (thrown: unknown) => thrown,
        )
        const json = JSON.stringify(error)
        expect(JSON.parse(json)).toMatchObject({
          code: 'EMTASTS',
          failures: [
            {
              resultType: 'certificate-host-mismatch',
              cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
            },
          ],
        })
        expect(json).not.toContain('issuerCertificate')
      }
      transporter.close()
    },
  )
})
