/** Which kept connection may carry a message that needs a proof by DANE. */
import { expect, test } from 'vitest'
import type { Candidate } from '../../src/delivery/candidate.js'
import { SessionPool } from '../../src/nodemailer/session-pool.js'
import type { SmtpConnection } from '../../src/smtp/connection.js'
import type { DaneProof, Proof } from '../../src/tls/security.js'

const MX = 'mx.fleet.example'
const ADDRESS = '192.0.2.1'
const STS: Proof = { by: 'sts' }

function daneProof(usage: number, changes: Partial<DaneProof> = {}, data = [1]): DaneProof {
  const tlsa = [{ usage, selector: 1, matchingType: 1, data: Uint8Array.from(data) }]
  return { by: 'dane', tlsa, base: MX, names: [MX, 'a.example'], ...changes }
}

function candidate(...proofs: readonly [Proof, ...Proof[]]): Candidate {
  return {
    mxHost: MX,
    preference: 10,
    addresses: [ADDRESS],
    port: 25,
    security: { level: 'authenticated', proofs },
    tls: {},
    verify: () => undefined,
  }
}

/** As much of a connection as the pool looks at. */
function connection(): SmtpConnection {
  const nothing = () => undefined
  const seen = { mxHost: MX, address: ADDRESS, port: 25, closed: false, failures: [] }
  const calls = { onClose: nothing, ref: nothing, unref: nothing, close: nothing, quit: nothing }
  return { ...seen, ...calls } as unknown as SmtpConnection
}

/** Whether a connection that was opened for one candidate carries a message for another. */
async function isReused(opened: Candidate, asked: Candidate): Promise<boolean> {
  const pool = new SessionPool({
    maxConnections: 10,
    maxConnectionsPerHost: 5,
    maxMessages: 100,
    idleTimeout: 60_000,
  })
  const options = { open: async () => connection(), check: () => undefined }
  const first = await pool.acquire(opened, options)
  pool.release(first.connection)
  const { reused } = await pool.acquire(asked, options)
  pool.close()
  return reused
}

const OF_B = { names: [MX, 'b.example'] }

test.each<[what: string, opened: Candidate, asked: Candidate, reused: boolean]>([
  [
    'of another domain by the same DANE-EE record, which ignores names',
    candidate(daneProof(3)),
    candidate(daneProof(3, OF_B)),
    true,
  ],
  ['beside STS on both', candidate(STS, daneProof(3)), candidate(STS, daneProof(3, OF_B)), true],
  [
    'of another domain by a DANE-TA record, which goes by names',
    candidate(daneProof(2)),
    candidate(daneProof(2, OF_B)),
    false,
  ],
  ['by another record', candidate(daneProof(3)), candidate(daneProof(3, OF_B, [2])), false],
  [
    'by records at another name',
    candidate(daneProof(3)),
    candidate(daneProof(3, { base: 'mx2.example' })),
    false,
  ],
  ['by STS too', candidate(daneProof(3)), candidate(STS, daneProof(3)), false],
  ['by DANE, after STS alone', candidate(STS), candidate(daneProof(3)), false],
])('a message that needs proof %s', async (_, opened, asked, reused) => {
  expect(await isReused(opened, asked)).toBe(reused)
})
