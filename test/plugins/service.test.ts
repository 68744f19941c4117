import { generateKeyPairSync } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { MtaSts } from '../../src/mta-sts.js'
import { PluginService } from '../../src/plugins/service.js'
import type { PluginSettings, ReportSettings } from '../../src/plugins/settings.js'
import type { PolicyStore, StoredPolicy } from '../../src/policy/store.js'

const quiet = () => undefined
const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet }

function settings(given: Partial<PluginSettings> = {}): PluginSettings {
  return { options: { dnsTimeout: 1 }, open: {}, localMxOk: false, ...given }
}

function reports(given: Partial<ReportSettings> = {}): ReportSettings {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return {
    organizationName: 'Example Ltd',
    contactInfo: 'postmaster@sender.example',
    submitter: 'sender.example',
    store: 'redis://localhost',
    dkim: {
      domainName: 'sender.example',
      keySelector: 'reports',
      privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    },
    ...given,
  }
}

describe('settings when a server starts', () => {
  it('are accepted with reports that can be signed', async () => {
    const setup = { settings: settings({ reports: reports() }), logger }
    PluginService.check(setup)
    await expect(PluginService.checkRest(setup)).resolves.toBeUndefined()
  })

  it('are accepted with DANE', async () => {
    const setup = { settings: settings({ dane: { servers: ['127.0.0.1'] } }), logger }
    await expect(PluginService.checkRest(setup)).resolves.toBeUndefined()
  })

  it.each([
    ['an option of the wrong kind', { options: { minimumSecurity: 'strict' as 'encrypted' } }],
    ['a store that is none', { store: 'mysql://localhost' }],
    ['a report store that is none', { reports: reports({ store: 'reports.db' }) }],
    ['reports without a store', { reports: reports({ store: 'none' }) }],
    ['a name that EHLO cannot say', { open: { name: 'my host' } }],
    ['a time that is over at once', { open: { connectionTimeout: 0 } }],
    ['a time that no timer has', { open: { commandTimeout: 2 ** 31 } }],
    ['requireStore and no store', { options: { requireStore: true } }],
    ['requireStore and the store `none`', { options: { requireStore: true }, store: 'none' }],
  ])('are refused with %s', (_, given) => {
    expect(() => PluginService.check({ settings: settings(given), logger })).toThrow(
      expect.objectContaining({ code: 'ECONFIG' }),
    )
  })

  it('do not show the password of a store in an error', () => {
    const setup = { settings: settings({ store: 'mysql://user:secret@localhost' }), logger }
    expect(() => PluginService.check(setup)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('secret') }),
    )
  })

  it('are refused with a key that cannot sign reports', async () => {
    const { privateKey } = generateKeyPairSync('ed25519')
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const dkim = { domainName: 'sender.example', keySelector: 'reports', privateKey: pem }
    const setup = { settings: settings({ reports: reports({ dkim }) }), logger }
    await expect(PluginService.checkRest(setup)).rejects.toThrow('"dkim"')
  })

  it('close opened parts if another part cannot be opened', async () => {
    const closed = vi.spyOn(MtaSts.prototype, 'close')
    const given = settings({ reports: reports({ store: 'sqlite:/no/such/folder/reports.db' }) })
    await expect(PluginService.start({ settings: given, logger })).rejects.toThrow()
    expect(closed).toHaveBeenCalledOnce()
  })

  it('are refused with invalid name servers', async () => {
    const setup = { settings: settings({ dane: { servers: ['localhost'] } }), logger }
    await expect(PluginService.checkRest(setup)).rejects.toMatchObject({ code: 'ECONFIG' })
  })
})

describe('the store of the mail server', () => {
  const services: PluginService[] = []
  afterEach(async () => {
    for (const service of services.splice(0)) await service.close()
  })

  async function start(given: Partial<PluginSettings>) {
    const entry: StoredPolicy = {
      id: '1',
      body: 'version: STSv1\r\nmode: enforce\r\nmx: mx.b.example\r\nmax_age: 86400\r\n',
      fetchedAt: Date.now(),
      expiresAt: Date.now() + 86_400_000,
      usedAt: Date.now(),
    }
    const get = vi.fn<PolicyStore['get']>(async () => entry)
    const ownStore: PolicyStore = { get, set: async () => undefined, delete: async () => undefined }
    const service = await PluginService.start({ settings: settings(given), logger, ownStore })
    services.push(service)
    return { service, get }
  }

  it('is used if the settings name none', async () => {
    const { service } = await start({})
    expect(await service.sts.getPolicy('b.example')).toMatchObject({ status: 'found', id: '1' })
  })

  it('is not used with `none`', async () => {
    const { service, get } = await start({ store: 'none' })
    expect(await service.sts.getPolicy('b.example')).toMatchObject({ status: 'none' })
    expect(get).not.toHaveBeenCalled()
  })
})
