/** In a project of its own, the example needs none of this: here `mta-sts` is the source beside it. */
import { defineConfig } from 'vitest/config'
import project from '../../vitest.config.js'

export default defineConfig({
  ...project,
  test: { include: ['examples/testing/*vitest.test.ts'] },
})
