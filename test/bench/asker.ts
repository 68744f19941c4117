/**
 * Asks for the policies of d0.example, d1.example and so on, in a network namespace: the first half
 * of them to warm up, the second half with nothing cached, and then often from the cache.
 * `asker.js ours COUNT ROUNDS AT_ONCE` asks this package, `asker.js theirs ...`
 * postfix-mta-sts-resolver. Prints the two rates of the second half in JSON.
 *
 * @module
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { MtaSts } from 'mta-sts'
import { domainNames } from './network.js'
import { inFlight, perSecond } from './pairs.js'

/** Policies a second. */
export interface Rates {
  cold: number
  cached: number
}

/** Finds the policy of a domain, and returns whether it is enforced. */
type Ask = (domain: string) => Promise<boolean>

const [, , side, count = '', rounds = '', atOnce = ''] = process.argv
const domains = domainNames(Number(count), 'd')

async function ours(): Promise<Rates> {
  await using sts = new MtaSts()
  return await rates(async (domain) => {
    const lookup = await sts.getPolicy(domain)
    return lookup.status === 'found' && lookup.policy.mode === 'enforce'
  })
}

/** As Postfix does: each connection asks for one domain at a time. */
async function theirs(): Promise<Rates> {
  const connections = await Promise.all(Array.from({ length: Number(atOnce) }, SocketMap.open))
  const free = [...connections]
  const found = await rates(async (domain) => {
    const connection = free.pop()
    if (connection === undefined) throw new Error('More questions than connections')
    const answer = await connection.ask(`postfix ${domain}`)
    free.push(connection)
    return answer.startsWith('OK secure match=')
  })
  for (const connection of connections) connection.close()
  return found
}

async function rates(ask: Ask): Promise<Rates> {
  const middle = Math.floor(domains.length / 2)
  const counted = domains.slice(middle)
  await rateOf(ask, domains.slice(0, middle), 1)
  return { cold: await rateOf(ask, counted, 1), cached: await rateOf(ask, counted, Number(rounds)) }
}

async function rateOf(ask: Ask, names: readonly string[], times: number): Promise<number> {
  let found = 0
  const total = names.length * times
  const rate = await perSecond(total, () =>
    inFlight(total, Number(atOnce), async (index) => {
      if (await ask(names[index % names.length] ?? '')) found++
    }),
  )
  if (found !== total) throw new Error(`${side}: ${found} of ${total} policies were found`)
  return rate
}

/** A client of socketmap_table(5): requests and replies are netstrings. */
class SocketMap {
  readonly #socket: Socket
  #received = ''
  #answered: ((answer: string) => void) | undefined

  private constructor(socket: Socket) {
    this.#socket = socket.setNoDelay().setEncoding('latin1')
    socket.on('data', (text: string) => this.#take(text))
  }

  static async open(): Promise<SocketMap> {
    const socket = connect(8461, '127.0.0.1')
    await once(socket, 'connect')
    return new SocketMap(socket)
  }

  ask(question: string): Promise<string> {
    return new Promise((resolve) => {
      this.#answered = resolve
      this.#socket.write(`${question.length}:${question},`)
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  #take(text: string): void {
    this.#received += text
    const [whole, length = '', rest = ''] = /^(\d+):(.*),$/s.exec(this.#received) ?? []
    if (whole === undefined || rest.length !== Number(length)) return
    this.#received = ''
    this.#answered?.(rest)
  }
}

console.log(JSON.stringify(await (side === 'ours' ? ours() : theirs())))
