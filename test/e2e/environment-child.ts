/**
 * Runs in a process whose environment lowers security: sends one message to each of several domains
 * in `enforce`, and prints the outcomes as JSON.
 */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import nodemailer from 'nodemailer'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import { createMailWorld, type MailWorld, type MxHost } from '../../src/testing/index.js'

/** The results of a child. */
export interface Results {
  /** The result of Node's own TLS with hosts of that fault: a version, or the failure */
  node: Record<string, string>
  /** By fault of the MX host, the outcome of a message, and whether its MAIL FROM was seen */
  sent: Record<string, { outcome: string; leaked: boolean }>
  /** TLS versions of completed handshakes with the host of TLS 1.1 */
  oldTls: string[]
  /** By fault of the policy host, the mode that applied */
  policies: Record<string, string>
}

const MX_FAULTS = ['self-signed', 'wrong-name', 'expired', 'tls-1.1'] as const
const POLICY_HOST_FAULTS = ['self-signed', 'wrong-name', 'expired'] as const

async function main(): Promise<Results> {
  await using world = await createMailWorld()
  const transporter = nodemailer.createTransport(mtaStsTransport(world.options()))
  const results: Results = { node: {}, sent: {}, oldTls: [], policies: {} }
  const to = (name: string) => ({ from: 'me@sender.example', to: `you@${name}`, text: 'Hello!' })

  for (const fault of MX_FAULTS) {
    const domain = world.domain(`${fault.replace('.', '-')}.mx.example`, { mode: 'enforce' })
    domain.mx().fails(fault)
    const outcome = await transporter.sendMail(to(domain.name)).then(
      () => 'delivered',
      (error) => `${error.code} ${error.failures?.[0]?.resultType}`,
    )
    const leaked = domain.mx().connections.some(({ mailFrom }) => mailFrom !== undefined)
    results.sent[fault] = { outcome, leaked }
    if (fault === 'tls-1.1') {
      results.oldTls.push(...domain.mx().connections.flatMap(({ tls }) => tls?.version ?? []))
    }
    results.node[fault] = await plainNode(world, domain.mx())
  }
  for (const fault of POLICY_HOST_FAULTS) {
    const domain = world.domain(`${fault}.policy.example`, { mode: 'enforce' })
    domain.policyHost.fails(fault)
    const { deliveries } = await transporter.sendMail(to(domain.name))
    results.policies[fault] = deliveries[0]?.mode ?? ''
  }
  transporter.close()
  return results
}

/** A handshake of a program that leaves everything to Node, and so to the environment. */
async function plainNode(world: MailWorld, mx: MxHost): Promise<string> {
  const target = { purpose: 'smtp', host: mx.name, address: mx.ipv4, port: 25 }
  const socket: Socket = world.options().connect(target)
  for (const line of ['EHLO client.example', 'STARTTLS', '']) {
    await once(socket, 'data')
    if (line !== '') socket.write(`${line}\r\n`)
  }
  const secured = connectTls({ socket, servername: mx.name, ca: world.ca })
  try {
    await once(secured, 'secureConnect')
    return secured.getProtocol() ?? ''
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  } finally {
    secured.destroy()
  }
}

console.log(JSON.stringify(await main()))
