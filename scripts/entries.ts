/** Entries of the package by name, with their source files. */
export const entries = {
  index: 'src/index.ts',
  nodemailer: 'src/nodemailer/index.ts',
  testing: 'src/testing/index.ts',
  sqlite: 'src/sqlite.ts',
  redis: 'src/redis.ts',
  tlsrpt: 'src/tlsrpt/index.ts',
  dane: 'src/dane/index.ts',
  haraka: 'src/haraka/index.ts',
  'zone-mta': 'src/zone-mta/index.ts',
  cli: 'src/cli/main.ts',
} as const
