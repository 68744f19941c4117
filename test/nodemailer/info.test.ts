/** What is made of the outcomes of a message's domains. */
import { expect, test } from 'vitest'
import { describeDelivery, mergeOutcomes } from '../../src/nodemailer/info.js'

/** As Nodemailer has it: the whole has the code of one of the replies. */
function rejectedBy(...replies: Array<[recipient: string, responseCode: number]>) {
  const rejectedErrors = replies.map(([recipient, responseCode]) =>
    Object.assign(new Error(`Recipient command failed: ${responseCode}`), {
      recipient,
      responseCode,
      permanent: responseCode >= 500,
    }),
  )
  const [, responseCode] = replies[0] ?? ['', 0]
  const error = Object.assign(new Error("Can't send mail - all recipients were rejected"), {
    responseCode,
    permanent: responseCode >= 500,
    rejectedErrors,
  })
  const recipients = replies.map(([recipient]) => recipient)
  return { delivery: describeDelivery({ domain: 'bob.example', recipients }, undefined, error) }
}

const MESSAGE = { envelope: { from: 'me@sender.example', to: [] }, messageId: '<1@sender.example>' }

test.each([
  ['first', [450, 550]],
  ['last', [550, 450]],
] as const)(
  'one domain, and the recipient that may be tried again comes %s: not permanent',
  (_, [a, b]) => {
    const outcome = rejectedBy(['a@bob.example', a], ['b@bob.example', b])
    const error = expect.objectContaining({ permanent: false })
    expect(() => mergeOutcomes([outcome], MESSAGE)).toThrow(error)
  },
)

test('every recipient for good: permanent', () => {
  const outcome = rejectedBy(['a@bob.example', 550], ['b@bob.example', 553])
  const error = expect.objectContaining({ permanent: true })
  expect(() => mergeOutcomes([outcome], MESSAGE)).toThrow(error)
})
