import nodemailer from 'nodemailer'
import { describe, expect, it } from 'vitest'
import { MtaSts, type MtaStsOptions } from '../../src/index.js'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import { createMailWorld } from '../../src/testing/index.js'

const message = { from: 'me@sender.example', to: 'b@bob.example', subject: 'Hi', text: 'Hello!' }

const fails = async () => {
  throw new Error('The database is down')
}
const STORES: Record<string, NonNullable<MtaStsOptions['store']>> = {
  rejects: { get: fails, set: fails, delete: fails },
  'holds what cannot be read': { get: async () => Object(42), set: fails, delete: fails },
}

async function denied(): Promise<never> {
  throw Object.assign(new Error('ENOTFOUND'), { code: 'ENOTFOUND' })
}
const nobody = { resolveTxt: denied, resolveMx: denied, resolve4: denied, resolve6: denied }
const nullMx = { ...nobody, resolveMx: async () => [{ exchange: '', priority: 0 }] }

describe.each(Object.entries(STORES))('a store that %s', (_, store) => {
  it.each([
    ['a null MX record', nullMx, 'ENULLMX'],
    ['the denial of the domain', nobody, 'EDNS'],
  ])('[STS-52] [STS-56] keeps %s from bouncing mail', async (_name, resolver, code) => {
    await using world = await createMailWorld()
    const options = { ...world.options(), resolver, store }
    const transporter = nodemailer.createTransport(mtaStsTransport(options))
    await expect(transporter.sendMail(message)).rejects.toMatchObject({ code, permanent: false })
    transporter.close()

    // With a store that answers without an entry, both are the domain's own answer
    const empty = { get: async () => undefined, set: async () => {}, delete: async () => {} }
    await using sts = new MtaSts({ ...options, store: empty })
    await expect(sts.open('bob.example')).rejects.toMatchObject({ code, permanent: true })
  })
})
