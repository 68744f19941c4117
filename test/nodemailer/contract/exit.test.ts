/** A process with our transports ends by itself where one with the plain transports does. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { LINE } from './differences.js'
import type { Task } from './exit-child.js'
import { AUTH, newIdentity, SmartHost } from './smart-host.js'

const CHILD = fileURLToPath(new URL('./exit-child.ts', import.meta.url))

let host: SmartHost

beforeAll(async () => {
  host = await SmartHost.begin(newIdentity())
})

afterAll(() => host.close())

/** Resolves when the process has ended by itself: with what came of its messages. */
async function ended(task: Omit<Task, 'nodemailer' | 'port' | 'root'>): Promise<string[]> {
  const nodemailer = LINE === 10 ? 'nodemailer' : `nodemailer-${LINE}`
  const { authority, port } = host
  const all: Task = { nodemailer, port, root: authority.root, ...task }
  const { NODE_OPTIONS: _, ...env } = process.env
  const args = ['--import', 'tsx', CHILD, JSON.stringify(all)]
  const { stdout } = await promisify(execFile)(process.execPath, args, { env })
  return JSON.parse(stdout)
}

const OURS = ['none', 'testing', 'enforce'] as const

const ends = (modes: readonly string[], end: string) =>
  modes.flatMap((mode) => [`${mode} single: ${end}`, `${mode} pool: ${end}`])

it.concurrent.each([
  { title: 'after close()', options: { auth: AUTH }, closes: true, end: 'sent' },
  {
    title: 'a single transport without close()',
    options: { auth: AUTH },
    closes: false,
    end: 'sent',
  },
  {
    title: 'after a login that failed',
    options: { auth: { ...AUTH, pass: 'wrong' } },
    closes: true,
    end: 'EAUTH',
  },
  { title: 'after a host that is not there', options: { port: 1 }, closes: true, end: 'ESOCKET' },
])(
  '$title',
  async ({ options, closes, end }) => {
    const modes = ['plain'] as const
    expect(await ended({ modes: [...modes], options, closes })).toEqual(ends(modes, end))
    expect(await ended({ modes: [...OURS], options, closes })).toEqual(ends(OURS, end))
  },
  120_000,
)
