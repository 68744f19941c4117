/**
 * The domains of the table with their real names, and their MX hosts with addresses.
 *
 * @module
 */
import { domainToASCII } from 'node:url'
import { ADDRESSES, mxAddress } from './network.js'
import type { LabDomain, Label, MxHost } from './vocabulary.js'

export interface PlacedHost extends MxHost {
  /** A-labels */
  name: string
  /** Addresses in its address records */
  ipv4: string[]
  ipv6: string[]
  /** The addresses on which its server listens; behind the attacker, if there is one */
  listen: string[]
}

export interface PlacedDomain {
  spec: LabDomain
  /** A-labels */
  name: string
  /** Recipient of its message, as a user writes it */
  recipient: string
  /** The domain of the recipient in A-labels, which names the mailbox */
  mailbox: string
  hosts: PlacedHost[]
  policyHost: string
  /** Addresses of the policy host */
  policyAddresses: { ipv4: string[]; ipv6: string[] }
}

/** @returns the domains, and the number of addresses of their MX hosts */
export function place(specs: readonly LabDomain[]): { domains: PlacedDomain[]; addresses: number } {
  let taken = 0
  const next = () => mxAddress(++taken)
  const domains = specs.map((spec) => placeDomain(spec, next))
  const names = domains.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice) throw new Error(`${twice} is in the table twice`)
  return { domains, addresses: taken }
}

function placeDomain(spec: LabDomain, next: () => ReturnType<typeof mxAddress>): PlacedDomain {
  const name = domainToASCII(`${spec.name}.example`)
  const recipient = spec.smartHostFor ?? `you@${spec.name}.example`
  const listed = typeof spec.mx === 'string' ? [] : spec.mx
  const hosts = spec.itself ? [...listed, spec.itself] : listed
  return {
    spec,
    name,
    recipient,
    mailbox: domainToASCII(recipient.slice(recipient.indexOf('@') + 1)),
    hosts: hosts.map((host) => placeHost(host, name, next)),
    policyHost: `mta-sts.${name}`,
    policyAddresses: policyAddresses(spec),
  }
}

function placeHost(
  host: MxHost,
  domain: string,
  next: () => ReturnType<typeof mxAddress>,
): PlacedHost {
  const name = nameOf(host.label, domain)
  const { address } = host
  const own = next()
  if (address === 'dead-dns') return { ...host, name, ipv4: [], ipv6: [], listen: [] }
  if (typeof address === 'object') {
    return { ...host, name, ipv4: [address.given], ipv6: [], listen: [own.ipv4] }
  }
  const ipv4 = address === 6 ? [] : [own.ipv4]
  const ipv6 = address === 4 ? [] : [own.ipv6]
  const listen = host.attacker ? [next().ipv4] : [...ipv4, ...ipv6]
  return { ...host, name, ipv4, ipv6, listen }
}

function policyAddresses({ policy }: LabDomain): PlacedDomain['policyAddresses'] {
  if (policy === undefined || policy.host === 'dead-dns') return { ipv4: [], ipv6: [] }
  if (policy.host === 'down') return { ipv4: [ADDRESSES.dead], ipv6: [] }
  if (policy.host === 'goes-down') return { ipv4: [ADDRESSES.mortalPolicyHosts], ipv6: [] }
  const { ipv4, ipv6 } = ADDRESSES.policyHosts
  return policy.family === 6 ? { ipv4: [], ipv6: [ipv6] } : { ipv4: [ipv4], ipv6: [] }
}

/** Returns the name for a label, or for a pattern. */
export function nameOf(label: Label, domain: string): string {
  if (label === '@') return domain
  if (label === '*') return `*.${domain}`
  if (label.endsWith('.')) return label.slice(0, -1)
  return domainToASCII(`${label}.${domain}`)
}

/** Returns the label of a host of the domain, for the table. */
export function labelOf(name: string, { hosts }: PlacedDomain): Label {
  return hosts.find((host) => host.name === name)?.label ?? `${name}.`
}
