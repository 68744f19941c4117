/**
 * The sender's process in its own namespace, with the system's resolver; only `NODE_EXTRA_CA_CERTS`
 * differs from a user's environment. `sender.mjs` is its program.
 *
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { Namespace } from './network.js'

export interface SendRequest {
  message: {
    from: string
    to: string
    subject: string
    text: string
    messageId: string
    dsn?: { notify: string }
  }
  /** Send to this smart host, not to the recipient's MX hosts */
  smartHost?: string
}

/** The used fields of `DomainDelivery`. */
export interface ReportedDelivery {
  policyDomain: string
  status: 'delivered' | 'refused' | 'failed'
  mode: 'enforce' | 'testing' | 'none'
  mxHost?: string
  tls?: false | { version: string; cipher: string }
  proved: 'nothing' | 'sts' | 'dane'
  failures: Array<{ resultType: string; reason?: string; mxHost?: string }>
  policyFailure?: { resultType: string; reason?: string }
}

export interface SendReply {
  deliveries: ReportedDelivery[]
  error?: { text: string; code?: string; permanent?: boolean; responseCode?: number }
}

const QUIET = '--disable-warning=ExperimentalWarning'

export interface SenderOptions {
  folder: string
  rootFile: string
  store?: string | undefined
}

/** Time for which the process may run after its work is done, in milliseconds. */
const END = 10_000

export class Sender {
  readonly #child: ChildProcess & { stdin: Writable; stdout: Readable }
  readonly #waiting = new Map<number, { resolve(reply: SendReply): void; reject(e: Error): void }>()
  readonly #gone: Promise<unknown>
  #sent = 0

  /** @param options with `store`, policies are cached in this SQLite file as well */
  constructor(namespace: Namespace, options: SenderOptions) {
    const { folder, rootFile, store } = options
    const [command = '', ...args] = namespace.command(process.execPath, 'sender.mjs')
    const { PATH, HOME } = process.env
    // Node 22 warns about its own SQLite; the sender itself does not
    const quiet = store === undefined ? {} : { NODE_OPTIONS: QUIET, STORE: store }
    const env = { PATH, HOME, NODE_EXTRA_CA_CERTS: rootFile, ...quiet }
    const stderr = openSync(join(folder, 'stderr'), 'a')
    const child = spawn(command, args, { cwd: folder, env, stdio: ['pipe', 'pipe', stderr] })
    const { stdin, stdout } = child
    if (!stdin || !stdout) throw new Error('The sender has no standard input or output')
    this.#child = Object.assign(child, { stdin, stdout })
    stdin.on('error', () => undefined)
    this.#gone = once(child, 'exit').then(() => this.#fail())
    createInterface({ input: stdout }).on('line', (line) => this.#take(line))
  }

  send(request: SendRequest): Promise<SendReply> {
    const id = ++this.#sent
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#child.stdin.write(`${JSON.stringify({ id, ...request })}\n`)
    })
  }

  /**
   * Closes its transports, after which nothing should keep it alive.
   *
   * @throws if something does
   */
  async end(): Promise<void> {
    this.#child.stdin.end()
    let late = false
    const timer = setTimeout(() => {
      late = true
      this.#child.kill('SIGKILL')
    }, END)
    await this.#gone
    clearTimeout(timer)
    if (late) throw new Error(`The sender was still there ${END} ms after close()`)
  }

  #take(line: string): void {
    const reply: SendReply & { id: number } = JSON.parse(line)
    this.#waiting.get(reply.id)?.resolve(reply)
    this.#waiting.delete(reply.id)
  }

  #fail(): void {
    for (const { reject } of this.#waiting.values()) reject(new Error('The sender has ended'))
  }
}
