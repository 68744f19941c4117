/** An environment that lowers security has no effect on the required proofs. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import type { Results } from './environment-child.js'

const CHILD = fileURLToPath(new URL('./environment-child.ts', import.meta.url))

async function inEnvironment(change: Record<string, string>): Promise<Results> {
  const { NODE_OPTIONS: _, ...env } = process.env
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', CHILD], {
    env: { ...env, ...change },
  })
  return JSON.parse(stdout)
}

const REFUSED = {
  'self-signed': { outcome: 'EMTASTS certificate-not-trusted', leaked: false },
  'wrong-name': { outcome: 'EMTASTS certificate-host-mismatch', leaked: false },
  expired: { outcome: 'EMTASTS certificate-expired', leaked: false },
  'tls-1.1': { outcome: 'EMTASTS validation-failure', leaked: false },
}

/** There is a record, but the policy host proves nothing: no policy. */
const NO_POLICY = { 'self-signed': 'none', 'wrong-name': 'none', expired: 'none' }

test.concurrent('[STS-11] [STS-36] [STS-37] [STS-49] NODE_TLS_REJECT_UNAUTHORIZED=0 has no effect', async () => {
  const results = await inEnvironment({ NODE_TLS_REJECT_UNAUTHORIZED: '0' })

  expect(results.sent).toEqual(REFUSED)
  expect(results.policies).toEqual(NO_POLICY)
  // Node by itself connects to all but the one without a current TLS version
  const { 'self-signed': selfSigned, 'wrong-name': wrongName, expired } = results.node
  expect([selfSigned, wrongName, expired]).toEqual(['TLSv1.3', 'TLSv1.3', 'TLSv1.3'])
})

test.concurrent('[STS-40] --tls-min-v1.0 in NODE_OPTIONS has no effect', async () => {
  const results = await inEnvironment({
    NODE_OPTIONS: '--tls-min-v1.0 --tls-cipher-list=DEFAULT@SECLEVEL=0',
  })

  expect(results.sent).toEqual(REFUSED)
  expect(results.policies).toEqual(NO_POLICY)
  expect(results.oldTls).toEqual([])
  expect(results.node['tls-1.1']).toBe('TLSv1.1')
})
