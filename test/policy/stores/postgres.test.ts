/** The store of examples/postgres-store.ts on PostgreSQL itself, compiled to WebAssembly. */
import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll } from 'vitest'
import { postgresStore } from '../../../examples/postgres-store.js'
import { conformance } from './conformance.js'

let database: PGlite

beforeAll(async () => {
  database = await PGlite.create()
  await postgresStore(database)
})
afterAll(() => database.close())

conformance('postgresStore', async () => {
  await database.exec('TRUNCATE mta_sts_policy, mta_sts_removal, mta_sts_lock')
  return { store: await postgresStore(database), other: await postgresStore(database) }
})
