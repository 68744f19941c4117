/** A short run of the model in `model.ts`; `npm run test:soak` has the long one. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { runModel } from './model.js'
import { Stage } from './scripted-network.js'

let stage: Stage
beforeAll(async () => {
  stage = await Stage.open()
})
afterAll(() => stage.close())

const seed = Number(process.env.MTA_STS_SEED ?? Date.now() % 1_000_000)

it(`[STS-51] [STS-52] [STS-53] [STS-54] [STS-59] a known policy applies after each of 1,000 random steps (MTA_STS_SEED=${seed})`, {
  timeout: 120_000,
}, async () => {
  expect(await runModel(stage, 1000, seed)).toBeGreaterThanOrEqual(1000)
})
