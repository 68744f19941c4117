/** Entries of the package by name, with their source files. */
export const entries = {
  index: 'src/index.ts',
  nodemailer: 'src/nodemailer/index.ts',
  testing: 'src/testing/index.ts',
  'testing/vitest': 'src/testing/vitest.ts',
  'testing/jest': 'src/testing/jest.ts',
  'testing/node': 'src/testing/node.ts',
  'testing/remote': 'src/testing/remote.ts',
  sqlite: 'src/sqlite.ts',
  redis: 'src/redis.ts',
  tlsrpt: 'src/tlsrpt/index.ts',
  dane: 'src/dane/index.ts',
  haraka: 'src/haraka/index.ts',
  'zone-mta': 'src/zone-mta/index.ts',
  cli: 'src/cli/main.ts',
} as const

/**
 * Entries that are separate ES modules, since Vitest cannot be required. They take everything of
 * the program from one of its files.
 */
export const modules = { 'testing/vitest': 'src/testing/runner-parts.ts' } as const
