/**
 * The page of `--html`: complete in itself, harmless whatever senders wrote, and, where Chromium is
 * installed, looked at in light and dark and on a phone. MTA_STS_SCREENSHOTS names a folder that
 * keeps the pictures.
 */
import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatReport, type TlsReport } from '../../src/tlsrpt/index.js'
import { colourAt } from './png.js'
import { monthOfReports } from './report-month.js'
import { cli } from './support.js'

const CHROMIUM = findChromium()

function findChromium(): string | undefined {
  const [found] = ['chromium', 'chromium-browser', 'google-chrome'].filter((name) => {
    try {
      execFileSync(name, ['--version'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })
  return found
}

const MARKUP = `<img src=x onerror="document.title='run'"><script>document.title='run'</script>&lt;b&gt;`
const BIDI = 'evil\u{202e}elpmaxe.bob\u{2066}'
const LONG = 'x'.repeat(300)

/** A month with three domains, and a report whose every text is hostile. */
function reports(): TlsReport[] {
  const month = monthOfReports().filter(({ policies: [first] }) =>
    ['example.com', 'example.net', 'mail.example'].includes(first?.policyDomain ?? ''),
  )
  const hostile = [MARKUP, BIDI, LONG].map((text, index) => ({
    organizationName: text,
    dateRange: month[0]?.dateRange ?? { start: new Date(0), end: new Date(0) },
    reportId: `${index}`,
    policies: [
      {
        policyType: text,
        policyDomain: text,
        totalSuccessfulSessionCount: 1,
        totalFailureSessionCount: 1,
        failureDetails: [
          {
            resultType: text,
            receivingMxHostname: text,
            failureReasonCode: text,
            failedSessionCount: 1,
          },
        ],
      },
    ],
  }))
  return [...month, ...hostile]
}

const folder = mkdtempSync(join(tmpdir(), 'mta-sts-html-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const page = join(folder, 'page.html')

beforeAll(async () => {
  const path = join(folder, 'reports.ndjson')
  writeFileSync(path, reports().map(formatReport).join('\n'))
  const { status, stdout } = await cli(['report', path, '--html', page])
  expect(status).toBe(1)
  expect(stdout).toContain('✗ example.net')
}, 60_000)

describe('the page', () => {
  it('shows the verdicts of the screen', () => {
    const html = readFileSync(page, 'utf8')
    for (const text of [
      'enforce would have deferred 3,708 of 146,408 sessions (2.5 %), all at mx2.example.net: certificate-host-mismatch, last on 2026-08-30',
      'ready: 28 days, 20 senders, nothing would have been refused',
      'Silent for a week: Sender 8 (last 2026-08-09)',
      'Microsoft Corporation',
      'Give the host a certificate for its name in the MX record',
    ]) {
      expect(html).toContain(text)
    }
  })

  it('needs no other file, and runs nothing', () => {
    const html = readFileSync(page, 'utf8')
    expect(html).toContain("default-src 'none'; style-src 'unsafe-inline'")
    expect(html).not.toMatch(/<(?:script|link|img|iframe|object)\b/i)
    expect(html).not.toMatch(/\b(?:https?:|url\()/i)
  })

  it('escapes markup, bidirectional text and long names', () => {
    const html = readFileSync(page, 'utf8')
    expect(html).toContain('&#60;img src=x onerror=&#34;')
    expect(html).toContain('&#38;lt;b&#38;gt;')
    expect(html).toContain('evil\\u{202e}elpmaxe.bob\\u{2066}')
    expect(html).not.toMatch(/[\u{202a}-\u{202e}\u{2066}-\u{2069}]/u)
    expect(html).not.toMatch(/x{201}/)
  })

  it('is printed in place of the screen with --html -', async () => {
    const { stdout } = await cli(['report', join(folder, 'reports.ndjson'), '--html', '-'])
    expect(stdout).toBe(readFileSync(page, 'utf8'))
  })

  it('cannot be written into a directory that is missing: status 3', async () => {
    const argv = ['report', join(folder, 'reports.ndjson'), '--html', join(folder, 'no/page.html')]
    const { status, stderr } = await cli(argv)
    expect(status).toBe(3)
    expect(stderr).toContain('ENOENT')
  })
})

/** Runs headless Chromium, with a profile of its own. */
async function chromium(...argv: string[]): Promise<string> {
  const profile = mkdtempSync(join(folder, 'profile-'))
  const common = ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars']
  const { stdout } = await promisify(execFile)(
    CHROMIUM ?? '',
    [...common, `--user-data-dir=${profile}`, ...argv],
    { maxBuffer: 64 * 1024 * 1024 },
  )
  return stdout
}

async function screenshot(name: string, ...argv: string[]): Promise<Buffer> {
  const kept = process.env.MTA_STS_SCREENSHOTS ?? folder
  mkdirSync(kept, { recursive: true })
  const file = join(kept, `${name}.png`)
  await chromium(...argv, `--screenshot=${file}`, pathToFileURL(page).href)
  return readFileSync(file)
}

describe.runIf(CHROMIUM !== undefined)('in Chromium', () => {
  it('is light by default, and dark where that is preferred', async () => {
    const light = await screenshot('light', '--window-size=1100,2000')
    const dark = await screenshot(
      'dark',
      '--window-size=1100,2000',
      '--blink-settings=preferredColorScheme=0',
    )
    expect(colourAt(light, 5, 5)).toEqual([0xf6, 0xf7, 0xf9])
    expect(colourAt(dark, 5, 5)).toEqual([0x14, 0x17, 0x1a])
  }, 60_000)

  it('fits on a phone, has bars for the days, and no markup of senders', async () => {
    await screenshot('phone', '--window-size=500,2000')
    const harness = join(folder, 'harness.html')
    const content = readFileSync(page, 'utf8').replace(/[&"]/g, (c) => `&#${c.charCodeAt(0)};`)
    writeFileSync(
      harness,
      `<!doctype html><iframe width="360" height="800" srcdoc="${content}"></iframe><script>
      onload = () => {
        const inside = document.querySelector('iframe').contentDocument
        const { scrollWidth, clientWidth } = inside.documentElement
        document.body.textContent = 'found ' + JSON.stringify({
          overflow: scrollWidth - clientWidth,
          title: inside.title,
          images: inside.querySelectorAll('img, script').length,
          bars: inside.querySelectorAll('section svg.failed rect').length,
          sections: inside.querySelectorAll('section').length,
        }) + ' end'
      }</script>`,
    )
    const dom = await chromium(
      '--virtual-time-budget=5000',
      '--dump-dom',
      pathToFileURL(harness).href,
    )
    const [, found = ''] = /found (.*?) end/.exec(dom) ?? []
    expect(JSON.parse(found)).toEqual({
      overflow: 0,
      title: 'MTA-STS: may I enforce?',
      images: 0,
      // example.com on 3 days, example.net on 28, and one for each hostile report
      bars: 3 + 28 + 3,
      sections: 6,
    })
  }, 60_000)

  it('prints', async () => {
    const file = join(process.env.MTA_STS_SCREENSHOTS ?? folder, 'page.pdf')
    await chromium('--no-pdf-header-footer', `--print-to-pdf=${file}`, pathToFileURL(page).href)
    expect(readFileSync(file).subarray(0, 5).toString()).toBe('%PDF-')
  }, 60_000)
})
