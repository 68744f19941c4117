import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { register } from '../../src/haraka/index.js'
import { modules } from './support.js'

describe('config/mta-sts.ini', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'haraka-'))
    mkdirSync(join(folder, 'config'))
    vi.stubEnv('HARAKA', folder)
  })
  afterEach(() => {
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true })
  })

  /** Registers the plugin; Haraka has not read the file. */
  function start() {
    const parts = modules()
    const plugin = {
      config: { get: () => ({ main: {} }) },
      haraka_require: (name: string) => Reflect.get(parts, name),
      register_hook: vi.fn(),
    }
    register.call(plugin)
    return plugin.register_hook.mock.calls.map(([hook]) => hook)
  }

  it('is not needed', () => {
    expect(start()).toEqual(['get_mx'])
  })

  it('is accepted with comments, sections, settings, and continued lines', () => {
    const text = '; x\n# y\r\n\n a_b-c = d e \n[overrides]\r\nmail.example=off\nstore=a\\\n  b\n'
    writeFileSync(join(folder, 'config', 'mta-sts.ini'), `\ufeff${text}`)
    expect(start()).toEqual(['get_mx'])
  })

  it.each(['store: sqlite:mta-sts.db', 'reportOnly', '[dane] ; on', 'b\u00fccher.example=off'])(
    'stops Haraka with a line that Haraka would skip: %s',
    (line) => {
      writeFileSync(join(folder, 'config', 'mta-sts.ini'), `; settings\n${line}\n`)
      const message = expect.stringContaining('config/mta-sts.ini: line 2 is neither')
      expect(start).toThrow(expect.objectContaining({ code: 'ECONFIG', message }))
    },
  )

  it('stops Haraka if it cannot be read', () => {
    mkdirSync(join(folder, 'config', 'mta-sts.ini'))
    const message = expect.stringContaining('mta-sts.ini cannot be read')
    expect(start).toThrow(expect.objectContaining({ code: 'ECONFIG', message }))
  })
})
