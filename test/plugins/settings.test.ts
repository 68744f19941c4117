import { describe, expect, it } from 'vitest'
import { readSettings, type SettingsSource } from '../../src/plugins/settings.js'

function settings(given: Partial<SettingsSource>) {
  const nothing = { main: {}, overrides: {}, dane: {}, reports: {} }
  return readSettings({ file: 'config/mta-sts.ini', folder: '/etc/haraka', ...nothing, ...given })
}

describe('settings of a plugin', () => {
  it('are read as numbers and flags from the text of an ini file', () => {
    const main = { negativeTtl: '60000', reportOnly: 'true', minimumSecurity: 'encrypted' }
    expect(settings({ main }).options).toMatchObject({
      negativeTtl: 60_000,
      reportOnly: true,
      minimumSecurity: 'encrypted',
    })
  })

  it('are accepted with underscores and hyphens', () => {
    const { options, localMxOk } = settings({ main: { report_only: true, 'local-mx-ok': 'yes' } })
    expect(options.reportOnly).toBe(true)
    expect(localMxOk).toBe(true)
  })

  it('separate the options of connections', () => {
    const { open, options } = settings({
      main: { name: 'mail.example', connectionTimeout: '5000' },
    })
    expect(open).toEqual({ name: 'mail.example', connectionTimeout: 5000 })
    expect(options).toEqual({ overrides: {} })
  })

  it('keep the default for an empty value', () => {
    expect(settings({ main: { store: '', ca: undefined } })).toEqual({
      options: { overrides: {} },
      open: {},
      localMxOk: false,
    })
  })

  it('exempt domains, and pin policies where the file can hold them', () => {
    const policy = { version: 'STSv1', mode: 'enforce', mx: ['mx.b.example'], maxAge: 86_400 }
    const overrides = { 'a.example': 'off', 'b.example': policy }
    expect(settings({ overrides }).options.overrides).toEqual(overrides)
  })

  it('enable DANE with `enabled`, with the options of its resolver', () => {
    const dane = { enabled: 'true', servers: '127.0.0.1, ::1', trustAd: 'no' }
    expect(settings({ dane }).dane).toEqual({ servers: ['127.0.0.1', '::1'], trustAd: false })
    expect(settings({ dane: { ...dane, enabled: 'false' } }).dane).toBeUndefined()
  })

  it('sign reports as the submitter, unless another domain is named', () => {
    const reports = {
      organizationName: 'Example Ltd',
      contactInfo: 'postmaster@sender.example',
      submitter: 'sender.example',
      store: 'sqlite:reports.db',
      dkimSelector: 'reports',
      dkimKey: '-----BEGIN PRIVATE KEY-----\n',
    }
    expect(settings({ reports }).reports).toMatchObject({
      submitter: 'sender.example',
      dkim: { domainName: 'sender.example', keySelector: 'reports' },
    })
  })
})

describe('settings that are refused', () => {
  const refused: Array<[string, Partial<SettingsSource>, string]> = [
    [
      'an unknown name',
      { main: { minimumSecurty: 'x' } },
      '[main] has no setting "minimumSecurty"',
    ],
    ['text for a number', { main: { port: 'smtp' } }, '[main] port must be a whole number'],
    [
      'text for a flag',
      { main: { reportOnly: 'maybe' } },
      '[main] reportOnly must be true or false',
    ],
    ['a missing file', { main: { ca: 'ca.pem' } }, '[main] ca: the file /etc/haraka/ca.pem cannot'],
    [
      'a wrong override',
      { overrides: { 'a.example': 'none' } },
      '[overrides] takes "off" for a.ex',
    ],
    ['DANE that is neither on nor off', { dane: { servers: '::1' } }, '[dane] needs enabled'],
    ['DANE without a section', { dane: true }, '[dane] must have settings'],
    ['overrides as a list', { overrides: ['a.example'] }, '[overrides] must have settings'],
    ['reports as text', { reports: 'yes' }, '[reports] must have settings'],
    ['an unknown name for DANE', { dane: { server: '::1' } }, '[dane] has no setting "server"'],
    [
      'reports without a submitter',
      { reports: { store: 'sqlite:x' } },
      '[reports] needs submitter',
    ],
  ]

  it.each(refused)('%s: names the file, the section and the setting', (_, given, says) => {
    expect(() => settings(given)).toThrow(
      expect.objectContaining({
        code: 'ECONFIG',
        message: expect.stringContaining(`config/mta-sts.ini: ${says}`),
      }),
    )
  })
})
