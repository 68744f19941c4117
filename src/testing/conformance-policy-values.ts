/**
 * Rules of a policy store: what is set is read again, whatever is in it.
 *
 * @module
 */
import assert from 'node:assert/strict'
import { entry, NAME, namesIn, type PolicyRules } from './conformance-policy-entry.js'

export const ENTRIES: PolicyRules = {
  async 'get resolves to undefined for a domain that was never set'({ store }) {
    assert.equal(await store.get(NAME), undefined)
  },

  async '[STS-33] an entry that was set is there for another process, field by field'(stores) {
    const { store, other } = stores
    const kept = entry({
      startedAt: 1_700_000_000_000.125,
      recordSeenAt: 1_700_000_000_001,
      expiresAt: 253_402_300_799_999,
    })
    assert.notEqual(await store.set(NAME, kept), false)
    assert.deepEqual(await store.get(NAME), kept)
    assert.deepEqual(await other.get(NAME), kept)
    assert.equal(await other.get('example.org'), undefined)
  },

  async 'entries are copied: changing one from outside changes nothing in the store'({ store }) {
    const mine = entry({ id: 'kept' })
    await store.set(NAME, mine)
    mine.id = 'changed'
    const got = await store.get(NAME)
    if (got) got.id = 'changed'
    assert.equal((await store.get(NAME))?.id, 'kept')
  },

  async 'an entry with a field of a wrong type is rejected with ESTOREVALUE'({ store }) {
    const kept = entry()
    await store.set(NAME, kept)
    const wrong = [
      { fetchedAt: Number.NaN },
      { expiresAt: Number.POSITIVE_INFINITY },
      { usedAt: undefined },
      { id: 5 },
      { body: null },
    ]
    for (const fields of wrong) {
      await assert.rejects(async () => store.set(NAME, Object.assign(entry(), fields)), {
        code: 'ESTOREVALUE',
      })
    }
    assert.deepEqual(await store.get(NAME), kept)
  },

  async 'delete removes one entry, and resolves where there is none'({ store, other }) {
    await store.set(NAME, entry())
    await store.set('example.org', entry())
    await store.delete(NAME)
    await store.delete(NAME)
    assert.equal(await other.get(NAME), undefined)
    assert.notEqual(await other.get('example.org'), undefined)
  },
}

const BODIES: Readonly<Record<string, string>> = {
  'of 64 KiB': `version: STSv1\n${'x'.repeat(65_536 - 15)}`,
  'that is empty': '',
  'with CRLF, LF and a byte order mark': '\uFEFFversion: STSv1\r\nmode: none\nmax_age: 1\r\n',
  'with characters of two, three and four bytes': 'x-ext: ü € 𝒮 "quoted" \\ back',
  'with NUL and other controls': 'a\0b\u0001\u001F\u007F\u2028',
}

const NAMES = ['__proto__', 'constructor', 'xn--bcher-kva.example', 'a.b', '%_*?[a]']

export function bodiesAndNames(): PolicyRules {
  const rules: PolicyRules = {}
  for (const [what, body] of Object.entries(BODIES)) {
    rules[`a body ${what} comes back exactly`] = async ({ store, other }) => {
      await store.set(NAME, entry({ body }))
      assert.equal((await other.get(NAME))?.body, body)
    }
  }
  for (const domain of NAMES) {
    rules[`${domain} is a domain like any other`] = async ({ store }) => {
      assert.equal(await store.get(domain), undefined)
      await store.set(domain, entry({ id: 'here' }))
      assert.equal((await store.get(domain))?.id, 'here')
      if (store.list) assert.deepEqual(await namesIn(store.list()), [domain])
      await store.delete(domain)
      assert.equal(await store.get(domain), undefined)
    }
  }
  return rules
}
