import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { text } from 'node:stream/consumers'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'

it('the example sends its reports and ends by itself', async () => {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const example = spawn(process.execPath, ['--import', tsx, 'examples/tlsrpt.ts'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(example, 'exit')
  const output = await text(example.stdout)
  expect(await exited).toEqual([0, null])
  expect(output).toContain('starttls-not-supported at mx.stripped.example')
  expect(output).toMatch(/^3 sent, 1 not asked for$/m)
})
