/**
 * Ten pipelines, with node:test.
 *
 *     npm run build && node --test examples/testing/pipelines-node.test.cjs
 */
const { test } = require('node:test')
const { mtaStsTransport } = require('mta-sts/nodemailer')
const { useMailWorld } = require('mta-sts/testing/node')
const { pipelines } = require('./pipelines.cjs')

const world = useMailWorld()

for (const [name, run] of Object.entries(pipelines)) {
  test(name, { timeout: 60_000 }, () => run({ world, mtaStsTransport }))
}
