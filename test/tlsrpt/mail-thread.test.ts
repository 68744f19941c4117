/** What becomes of the thread that reads mails when the package in it fails. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { readReports } from '../../src/tlsrpt/index.js'

const place = vi.hoisted(() => ({ folder: '' }))

vi.mock('node:module', async (original) => ({
  ...(await original<typeof import('node:module')>()),
  createRequire: () => ({ resolve: () => join(place.folder, 'index.cjs') }),
}))

beforeAll(() => {
  place.folder = mkdtempSync(join(tmpdir(), 'mail-thread-'))
})
afterAll(() => rmSync(place.folder, { recursive: true }))

const read = () => readReports('From: a@b.example\r\nSubject: TLS report\r\n\r\n')

it('[RPT-17] is another one where the first has ended, and says at once what cannot be loaded', async () => {
  const late = "setTimeout(() => { throw new Error('out of memory') })"
  writeFileSync(
    join(place.folder, 'index.cjs'),
    `exports.parse = async () => { ${late}; return 1 }`,
  )
  const ended = new Promise<void>((resolve) => {
    process.once('worker', (worker) => worker.once('exit', () => resolve()))
  })
  expect(read).toThrow('its MIME cannot be read')
  // An error of the thread that nobody listens to would end this process
  await ended
  writeFileSync(join(place.folder, 'index.cjs'), "throw new Error('no such thing')")
  expect(read).toThrow('its MIME cannot be read: no such thing')
})
