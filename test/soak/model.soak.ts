/**
 * The model of the promise, for 100,000 steps: `npm run test:soak`. CI runs fewer of them
 * (MTA_STS_STEPS), always the same (MTA_STS_SEED).
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { runModel } from '../policy/model.js'
import { Stage } from '../policy/scripted-network.js'

let stage: Stage
beforeAll(async () => {
  stage = await Stage.open()
})
afterAll(() => stage.close())

const STEPS = Number(process.env.MTA_STS_STEPS ?? 100_000)
const seed = Number(process.env.MTA_STS_SEED ?? Date.now() % 1_000_000)

it(`[STS-51] [STS-52] [STS-53] [STS-54] [STS-59] a known policy applies after each of ${STEPS} random steps (MTA_STS_SEED=${seed})`, {
  timeout: 3_600_000,
}, async () => {
  expect(await runModel(stage, STEPS, seed)).toBeGreaterThanOrEqual(STEPS)
})
