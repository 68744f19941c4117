import { defineConfig } from 'tsup'

const entries = {
  index: 'src/index.ts',
  nodemailer: 'src/nodemailer/index.ts',
  testing: 'src/testing/index.ts',
  sqlite: 'src/stores/sqlite.ts',
  redis: 'src/stores/redis.ts',
  tlsrpt: 'src/tlsrpt/index.ts',
}

export default defineConfig({
  entry: { ...entries, cli: 'src/cli/main.ts' },
  format: ['esm', 'cjs'],
  target: 'node20.19',
  // One copy of each class for all entries, in both formats: instanceof holds between them
  splitting: true,
  // tsup sets baseUrl for its declarations, which TypeScript 6 calls deprecated
  dts: { entry: entries, compilerOptions: { ignoreDeprecations: '6.0' } },
  clean: true,
  // `node:sqlite` is a module of its own name only with its prefix
  removeNodeProtocol: false,
})
