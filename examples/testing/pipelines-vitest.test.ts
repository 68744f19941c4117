/**
 * Ten pipelines, with Vitest.
 *
 *     npx vitest run --config examples/testing/vitest.config.ts pipelines
 */
import { mtaStsTransport } from 'mta-sts/nodemailer'
import { useMailWorld } from 'mta-sts/testing/vitest'
import { test } from 'vitest'
import { pipelines } from './pipelines.cjs'

const world = useMailWorld()

for (const [name, run] of Object.entries(pipelines)) {
  test(name, () => run({ world, mtaStsTransport }), 60_000)
}
