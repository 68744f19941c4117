/**
 * Every row of the lab's table that the mail world can play: the transport comes to the outcome that
 * the table expects, and `check` predicts it, before the first message and before the second.
 */
import { describe, expect, it } from 'vitest'
import { domains } from '../lab/domains.js'
import { outcomeOf } from '../lab/judge.js'
import { describeOutcome, type LabDomain } from '../lab/vocabulary.js'
import { type Played, play } from './played.js'
import { contradictions, type Outcome, type Prediction } from './predicted.js'
import { byCheck, bySender, memoryStore } from './sent.js'
import { useWorld } from './support.js'

// A busy machine must not turn an answer into a failure
const stage = useWorld({ dnsTimeout: 5000 })

/** A policy that lives for a second cannot be cached while a slow machine sends a message. */
const ROWS = domains.filter(({ name }) => name !== 'expired-policy')

function expectSame(checked: Prediction, sent: Outcome, { spec }: Played['placed']): void {
  const { status: _, text: __, ...predicted } = checked
  const binds = spec.policy !== undefined && spec.policy.mode !== 'none'
  // Without a policy a sender notes failures that no policy asked for; no report has them
  const failures = binds && checked.failures.length > 0 ? sent.failures : checked.failures
  expect(predicted).toEqual({ ...sent, failures })
  expect(contradictions(checked, { ...sent, failures })).toEqual([])
}

describe.concurrent('check predicts the deliveries to the lab domain', () => {
  it.each(ROWS.map((row): [string, LabDomain] => [row.name, row]))('%s', async (_, row) => {
    const { placed, resolver, change } = play(stage, row)
    const sending = { stage, domain: placed.name, store: memoryStore(), resolver }
    for (const round of [1, 2]) {
      if (round === 2) change()
      const checked = await byCheck(sending)
      const { outcome, reply } = await bySender(sending)
      const expected = round === 2 ? (row.second ?? row.expected) : row.expected
      // A sender of the lab looks at the record once the cached policy has refused, this one before
      const isNewId = round === 2 && row.second !== undefined
      if (!isNewId) {
        expect(describeOutcome(outcomeOf(reply, placed))).toBe(describeOutcome(expected))
      }
      expectSame(checked, outcome, placed)
    }
  })
})
