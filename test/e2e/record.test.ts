/**
 * The record of a delivery is the same in events, in `info` and errors, and for the caller's own
 * senders.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { DeliverySummary, EventMap } from '../../src/index.js'
import type { DomainDelivery } from '../../src/nodemailer/index.js'
import type { MailDomain } from '../../src/testing/index.js'
import { errorOf, failureTexts, messageTo, only, useWorld } from './support.js'

const stage = useWorld()

const published: Array<EventMap['mta-sts:delivery']> = []
const listener = (event: unknown) => {
  published.push(event as EventMap['mta-sts:delivery'])
}
beforeAll(() => subscribe('mta-sts:delivery', listener))
afterAll(() => void unsubscribe('mta-sts:delivery', listener))
beforeEach(() => {
  published.length = 0
})

/** The facts on which event, delivery and summary must agree. */
function account(from: {
  mode: string
  id: string | undefined
  status: string
  mxHost: string | undefined
  failures: DomainDelivery['failures']
}) {
  return { ...from, failures: failureTexts(from.failures) }
}

const ofEvent = ({ policy, outcome, mxHost, failures }: EventMap['mta-sts:delivery']) =>
  account({ mode: policy.mode, id: policy.id, status: outcome, mxHost, failures })

const ofDelivery = ({ mode, policyId, status, mxHost, failures }: DeliverySummary) =>
  account({ mode, id: policyId, status, mxHost, failures })

/** Sends once by the transport and once by an own sender; returns the common record. */
async function accountOf(domain: MailDomain) {
  const sent = await stage
    .sender({})
    .sendMail(messageTo(domain))
    .then(
      ({ deliveries }) => deliveries,
      ({ deliveries }: { deliveries: DomainDelivery[] }) => deliveries,
    )
  const byTransport = only(sent)
  expect(ofEvent(only(published))).toEqual(ofDelivery(byTransport))

  published.length = 0
  let summary: DeliverySummary | undefined
  const onEnd = (ended: DeliverySummary) => {
    summary = ended
  }
  const connection = await stage
    .sts()
    .open(domain.name, { onEnd, name: 'sender.example' })
    .catch(() => undefined)
  connection?.close()
  if (!summary) throw new Error('onEnd was not called')
  expect(ofEvent(only(published))).toEqual(ofDelivery(summary))
  expect(ofDelivery(summary)).toEqual(ofDelivery(byTransport))
  return byTransport
}

describe('[STS-60] the record of a delivery is the same everywhere', () => {
  test('MX host with a bad certificate under enforce: refused, with the failure', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('expired')
    expect(await accountOf(domain)).toMatchObject({
      status: 'refused',
      mode: 'enforce',
      policyId: domain.id,
      failures: [{ resultType: 'certificate-expired', mxHost: domain.mx().name }],
    })
  })

  test('MX host whose address lookup fails under enforce: failed, mode and failure recorded', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dns.fails('servfail', 'mx-hosts')
    const { status, mode, failures } = await accountOf(domain)
    expect({ status, mode }).toEqual({ status: 'failed', mode: 'enforce' })
    expect(failureTexts(failures)).toEqual([`${domain.mx().name} validation-failure dns-failure`])
  })

  test('MX lookup that fails under enforce: failed, under its policy', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dns.fails('servfail', 'mx')
    expect(await accountOf(domain)).toMatchObject({
      status: 'failed',
      mode: 'enforce',
      policyId: domain.id,
      failures: [],
    })
  })

  test('null MX without a policy: failed, no connection', async () => {
    const domain = stage.domain({})
    stage.world.dns.set(domain.name, 'MX', [{ preference: 0, exchange: '.' }])
    expect(await accountOf(domain)).toMatchObject({ status: 'failed', mode: 'none', tls: false })
  })

  test('policy host that answers 404 to a new sender: the record has the reason for no policy', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.policyHost.fails('404')
    expect(await accountOf(domain)).toMatchObject({
      status: 'delivered',
      mode: 'none',
      policyFailure: { resultType: 'sts-policy-fetch-error', reason: 'http-status-404' },
    })
  })

  test('policy of mode testing and an untrusted MX host: delivered, with the failure', async () => {
    const domain = stage.domain({ mode: 'testing' })
    domain.mx().fails('self-signed')
    expect(await accountOf(domain)).toMatchObject({
      status: 'delivered',
      mode: 'testing',
      failures: [{ resultType: 'certificate-not-trusted' }],
    })
  })

  test('MX host that refuses the recipient: failed, with the host and what it proved', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails({ at: 'rcpt', reply: '550 5.1.1 No such user' })
    const error = await errorOf(stage.sender({}).sendMail(messageTo(domain)))
    expect(error).toMatchObject({ permanent: true, responseCode: 550 })
    expect(only(error.deliveries ?? [])).toMatchObject({
      status: 'failed',
      proved: 'sts',
      mxHost: domain.mx().name,
    })
    expect(ofEvent(only(published))).toMatchObject({ status: 'failed', mode: 'enforce' })
  })

  test('onEnd that throws: the delivery is not affected', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const onEnd = () => {
      throw new Error('in the hook')
    }
    const connection = await stage.sts().open(domain.name, { onEnd })
    expect(connection.proved).toEqual(['sts'])
    connection.close()
  })
})
