/**
 * Run in a process of its own: sends with some transports, closes them, and does nothing more. What is
 * left open keeps the process alive. Prints what came of each message as JSON.
 */
import type { Transporter } from 'nodemailer'
import { withMtaSts } from '../../../src/nodemailer/index.js'
import { dnsError, resolverOf } from '../../tls/support.js'

/** What the parent says. */
export interface Task {
  /** Where Nodemailer is imported from */
  nodemailer: string
  port: number
  /** The root certificate of the host, PEM */
  root: string
  modes: Array<'plain' | 'none' | 'testing' | 'enforce'>
  /** Options of the smart host */
  options: object
  /** Whether transports are closed; a pool always is */
  closes: boolean
}

type Create = (options: object) => Transporter

const task: Task = JSON.parse(process.argv[2] ?? '')

async function send(create: Create, mode: Task['modes'][number], pool: boolean): Promise<string> {
  const { port, root, options, closes } = task
  const smartHost = { host: 'localhost', port, tls: { ca: root }, pool, ...options }
  const policy = { version: 'STSv1', mode, mx: ['localhost'], maxAge: 86_400 } as const
  const known = mode === 'testing' || mode === 'enforce'
  const plain = create(smartHost)
  const transporter =
    mode === 'plain'
      ? plain
      : create(
          withMtaSts(plain as never, {
            ca: root,
            resolver: resolverOf({ txt: dnsError('ENOTFOUND') }),
            ...(known ? { overrides: { localhost: policy as never } } : {}),
          }),
        )
  const message = { from: 'me@sender.example', to: 'you@example.com', text: 'Hello' }
  const end = await transporter.sendMail(message).then(
    () => 'sent',
    (error: { code?: string }) => String(error.code),
  )
  if (closes || pool) transporter.close()
  return `${mode} ${pool ? 'pool' : 'single'}: ${end}`
}

const { default: nodemailer } = await import(task.nodemailer)
const create: Create = (options) => nodemailer.createTransport(options)
const ends: string[] = []
for (const mode of task.modes) {
  for (const pool of [false, true]) ends.push(await send(create, mode, pool))
}
process.stdout.write(JSON.stringify(ends))
