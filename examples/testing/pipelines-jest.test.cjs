/**
 * Ten pipelines, with Jest and with Bun's runner, which has the same globals.
 *
 *     npm run build && npx jest --rootDir examples/testing pipelines-jest.test.cjs
 */
const { mtaStsTransport } = require('mta-sts/nodemailer')
const { useMailWorld } = require('mta-sts/testing/jest')
const { pipelines } = require('./pipelines.cjs')

const world = useMailWorld()

for (const [name, run] of Object.entries(pipelines)) {
  test(name, () => run({ world, mtaStsTransport }), 60_000)
}
