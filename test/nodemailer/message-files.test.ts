/** Files and downloads of a message: read when the host takes the message, and closed afterwards. */
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type NodemailerModule from 'nodemailer'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import { type Script, ScriptedMx, takeMessages, untilSecured } from '../e2e/scripted-mx.js'

const load = createRequire(import.meta.url)

const { privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 1024,
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
})

const takes: Script = async (peer) => {
  await untilSecured(peer, { after: ['SIZE 10000000'] })
  await takeMessages(peer)
}

/** Greylisting: what any host may do with any message. */
const defers: Script = async (peer) => {
  await untilSecured(peer, { after: ['SIZE 10000000'] })
  while ((await peer.hear()) !== undefined) peer.say('451 4.7.1 Try again later')
}

/** Ends the connection within the message. */
const breaksOff: Script = async (peer) => {
  await untilSecured(peer)
  for (;;) {
    const line = await peer.hear()
    if (line === undefined) return
    if (line === 'DATA') break
    peer.say('250 Fine')
  }
  peer.say('354 Go ahead')
  await peer.hear()
  peer.socket.destroy()
}

const ENVELOPE = { from: 'a@sender.example', to: 'b@bob.example' }

/** Texts that are longer than what is read before a connection is opened. */
const LONG = 'one line of the message\n'.repeat(5000)

describe.each([
  ['8', 'nodemailer-8'],
  ['9', 'nodemailer-9'],
  ['10', 'nodemailer'],
])('with Nodemailer %s', (_, name) => {
  const module = load(name)
  const nodemailer: typeof NodemailerModule = module.default ?? module

  async function sender(script: Script) {
    const mx = await ScriptedMx.open(script)
    const transporter = nodemailer.createTransport(mtaStsTransport(mx.options()))
    onTestFinished(async () => {
      transporter.close()
      await mx[Symbol.asyncDispose]()
    })
    return transporter
  }

  /** A web server; counts what was asked of it. */
  async function download() {
    const seen = { requests: 0 }
    const server = createServer((_request, response) => {
      seen.requests++
      response.end(LONG)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const { port } = server.address() as AddressInfo
    return { seen, attachments: [{ filename: 'a', href: `http://127.0.0.1:${port}/` }] }
  }

  it('downloads no attachment of a message that the host defers at MAIL FROM', async () => {
    const transporter = await sender(defers)
    const { seen, attachments } = await download()
    const error = await transporter.sendMail({ ...ENVELOPE, attachments }).catch((e) => e)
    expect(error).toMatchObject({ responseCode: 451, permanent: false })
    expect(seen.requests).toBe(0)
  })

  it('downloads an attachment once for a message that the host takes', async () => {
    const transporter = await sender(takes)
    const { seen, attachments } = await download()
    await transporter.sendMail({ ...ENVELOPE, attachments })
    expect(seen.requests).toBe(1)
  })

  it.each([
    ['takes', takes],
    ['defers', defers],
  ])(
    'leaves nothing in cacheDir of DKIM when the host %s the message',
    async (_outcome, script) => {
      const cacheDir = await mkdtemp(join(tmpdir(), 'mta-sts-dkim-'))
      onTestFinished(() => rm(cacheDir, { recursive: true }))
      const transporter = await sender(script)
      const dkim = {
        domainName: 'sender.example',
        keySelector: 'k',
        privateKey,
        cacheDir,
        cacheTreshold: 1000,
      }
      await transporter.sendMail({ ...ENVELOPE, text: LONG, dkim }).catch(() => undefined)
      await expect.poll(() => readdir(cacheDir)).toEqual([])
    },
  )

  it('closes the file of a message within which the host ends the connection', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mta-sts-file-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const path = join(folder, 'large')
    await writeFile(path, Buffer.alloc(8_000_000))
    const opened = vi.spyOn(fs, 'createReadStream')
    onTestFinished(() => opened.mockRestore())
    const transporter = await sender(breaksOff)

    const sending = transporter.sendMail({ ...ENVELOPE, attachments: [{ path }] })

    expect(await sending.catch((e) => e)).toMatchObject({ code: 'ECONNECTION' })
    const streams = opened.mock.results.map(({ value }) => value)
    expect(streams).not.toHaveLength(0)
    for (const stream of streams) if (!stream.closed) await once(stream, 'close')
  })
})
