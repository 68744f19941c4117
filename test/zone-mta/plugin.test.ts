import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { MtaSts } from '../../src/index.js'
import { PluginService } from '../../src/plugins/service.js'
import { createMailWorld } from '../../src/testing/index.js'
import type {
  ConnectOptions,
  ZoneApp,
  ZoneConnection,
  ZoneDelivery,
} from '../../src/zone-mta/host.js'
import { init } from '../../src/zone-mta/init.js'
import { ZonePlugin } from '../../src/zone-mta/plugin.js'

type Hooks = {
  fetch(delivery: ZoneDelivery): Promise<void>
  connect(delivery: ZoneDelivery, options: ConnectOptions): Promise<void>
  headers(delivery: ZoneDelivery, connection: ZoneConnection): Promise<void>
}

const SENDER = `
plugins.handler.runHooks('sender:fetch', [delivery], next)
plugins.handler.runHooks('sender:connect', [delivery, connOpts], next)
plugins.handler.runHooks('sender:headers', [delivery, connection], next)
delivery.skipSTS; delivery.connectionKey
mxOptions.mx = [].concat(delivery.mx)
options = { connection: mx.socket }
`

let folder = ''
const errors: string[] = []

/** Puts modules in place of ZoneMTA's own. */
function loadHost({ sender = SENDER, zones = { default: {} } as object } = {}): void {
  const files = {
    'zone-mta/lib/sender.js': `module.exports = function () {\n${sender}\n}`,
    'wild-config/index.js': `module.exports = ${JSON.stringify({ zones, queue: { defaultZone: 'default' } })}`,
  }
  for (const [name, code] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), code)
    createRequire(join(folder, 'app.js'))(join(folder, name))
  }
}

function app(config: Record<string, unknown> = {}, context = 'sender'): ZoneApp & { hooks: Hooks } {
  const hooks: Record<string, unknown> = {}
  const log = () => undefined
  return {
    config: { enabled: 'sender', overrides: { 'a.example': 'off' }, ...config },
    manager: { context },
    logger: {
      verbose: log,
      info: log,
      warn: log,
      error: (_prefix, ...text) => errors.push(String(text.at(-1))),
    },
    addHook: (name: string, hook: unknown) => {
      hooks[name.replace('sender:', '')] = hook
    },
    hooks: hooks as unknown as Hooks,
  }
}

async function started(config: Record<string, unknown> = {}): Promise<Hooks> {
  const given = app(config)
  await new ZonePlugin(given).ready()
  return given.hooks
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mta-sts-zone-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  errors.length = 0
  const { cache } = createRequire(join(folder, 'app.js'))
  for (const name of Object.keys(cache)) if (name.startsWith(folder)) delete cache[name]
  rmSync(folder, { recursive: true })
})

describe('a delivery routed elsewhere is not changed', () => {
  const routed: Array<[string, Partial<ZoneDelivery>]> = [
    ['mx', { mx: [{ exchange: 'relay.example' }] }],
    ['mxPort', { mxPort: 2525 }],
    ['mxAuth', { mxAuth: { user: 'u', pass: 'p' } }],
    ['mxSecure', { mxSecure: true }],
    ['useLMTP', { useLMTP: true }],
    ['http', { http: true }],
    ['skipSTS', { skipSTS: true }],
  ]

  it.each(routed)('if another plugin has set %s', async (_, fields) => {
    loadHost()
    const hooks = await started()
    const delivery: ZoneDelivery = { domain: 'b.example', ...fields }
    const options: ConnectOptions = {}
    const connection: ZoneConnection = { options: {} }
    await hooks.fetch(delivery)
    await hooks.connect(delivery, options)
    await hooks.headers(delivery, connection)
    expect(delivery).toEqual({ domain: 'b.example', ...fields })
    expect(options).toEqual({})
    expect(connection).toEqual({ options: {} })
  })

  it('if its zone has a host of its own', async () => {
    loadHost({ zones: { default: {}, relayed: { host: 'relay.example', port: 587 } } })
    const hooks = await started()
    const delivery: ZoneDelivery = { domain: 'b.example', sendingZone: 'relayed' }
    await hooks.fetch(delivery)
    expect(delivery).toEqual({ domain: 'b.example', sendingZone: 'relayed' })
    await expect(hooks.headers(delivery, { options: {} })).resolves.toBeUndefined()
  })
})

describe('zones that ZoneMTA reads again', () => {
  const reload = (zones: object) => {
    const config = createRequire(join(folder, 'app.js'))('./wild-config/index.js')
    Object.assign(config, { zones })
  }

  it('count with the host that they have now', async () => {
    loadHost({ zones: { default: { host: 'relay.example' } } })
    const hooks = await started()
    const delivery: ZoneDelivery = { domain: 'a b' }
    await hooks.fetch(delivery)
    reload({ default: {} })
    await expect(hooks.fetch(delivery)).rejects.toMatchObject({ category: 'dns' })
    reload({ default: { host: 'relay.example' } })
    await expect(hooks.fetch(delivery)).resolves.toBeUndefined()
  })

  it('defer mail where they have another port now', async () => {
    loadHost()
    const hooks = await started()
    reload({ default: { port: 2525 } })
    await expect(hooks.fetch({ domain: 'b.example' })).rejects.toMatchObject({
      action: 'defer',
      message: expect.stringContaining('delivers to port 2525: set port = 2525'),
    })
  })
})

describe('a connection that ZoneMTA has kept', () => {
  afterEach(() => vi.useRealTimers())

  it('[STS-42] carries no further message once its certificate has expired', async () => {
    loadHost()
    await using world = await createMailWorld()
    world.domain('b.example', { mode: 'enforce' })
    const { name: _, ...options } = world.options()
    await using sts = new MtaSts(options)
    vi.spyOn(PluginService, 'start').mockResolvedValue({ sts } as unknown as PluginService)
    const hooks = await started()
    const first: ZoneDelivery = { domain: 'b.example' }
    const connecting: ConnectOptions & { socket?: Socket } = {}
    await hooks.fetch(first)
    await hooks.connect(first, connecting)
    const connection: ZoneConnection = { options: { connection: connecting.socket } }
    const second: ZoneDelivery = { domain: 'b.example' }
    await hooks.fetch(second)
    await hooks.headers(second, connection)
    expect(connection).toMatchObject({ secure: true, options: { servername: 'mx.b.example' } })
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 5 * 365 * 86_400_000 })

    await expect(hooks.headers(second, connection)).rejects.toMatchObject({
      action: 'defer',
      message: expect.stringContaining('has not proved'),
    })
    connecting.socket?.destroy()
  })
})

describe('a delivery that the plugin has not seen in sender:fetch', () => {
  it('is deferred before MAIL FROM', async () => {
    loadHost()
    const hooks = await started()
    await expect(hooks.headers({ domain: 'b.example' }, { options: {} })).rejects.toMatchObject({
      category: 'policy',
      action: 'defer',
      message: expect.stringContaining('it was fetched before the plugin was ready'),
    })
  })
})

describe('the ZoneMTA process ends', () => {
  const ends: Array<[string, Parameters<typeof loadHost>[0] | undefined, object, string, string]> =
    [
      ['with another lib/sender.js', { sender: '' }, {}, 'sender', 'does not know this ZoneMTA'],
      ['with a setting that does not exist', {}, { minimumSecurty: 1 }, 'sender', 'minimumSecurty'],
      [
        'where a zone has another port',
        { zones: { default: { port: 2525 } } },
        {},
        'sender',
        'set port = 2525',
      ],
      [
        'where the plugin is not enabled in senders',
        {},
        { enabled: 'receiver' },
        'receiver',
        'enabled must be "sender"',
      ],
    ]

  it.each(ends)('with %s', async (_, host, config, context, says) => {
    loadHost(host)
    const exit = vi.spyOn(process, 'exit').mockImplementation((): never => undefined as never)
    await init(app({ ...config }, context))
    expect(exit).toHaveBeenCalledWith(1)
    expect(errors.join()).toContain(`ZoneMTA stops: `)
    expect(errors.join()).toContain(says)
  })

  it('only in the sender, not where the plugin is loaded in other processes', async () => {
    const exit = vi.spyOn(process, 'exit').mockImplementation((): never => undefined as never)
    const given = app({ enabled: ['receiver', 'sender'] }, 'receiver')
    await init(given)
    expect(exit).not.toHaveBeenCalled()
    expect(given.hooks).toEqual({})
  })
})
