/** A transporter against a scripted MX host. */
import nodemailer, { type Transporter } from 'nodemailer'
import { expect, onTestFinished } from 'vitest'
import type { Policy } from '../../src/index.js'
import {
  type MtaStsTransportOptions,
  mtaStsTransport,
  type SentInfo,
} from '../../src/nodemailer/index.js'
import { type Script, ScriptedMx } from '../e2e/scripted-mx.js'

export const DOMAIN = 'bob.example'
export const HOST = 'mx.scripted.example'

export interface AgainstOptions extends MtaStsTransportOptions {
  /** Default: no policy */
  mode?: Policy['mode'] | undefined
}

/** A policy of this mode that names the scripted host. */
export function policy(mode: Policy['mode']): Policy {
  return { version: 'STSv1', mode, mx: [HOST], maxAge: 86_400 }
}

/** A host with this script, and a transporter under a policy of this mode. */
export async function against(
  script: Script,
  { mode, ...options }: AgainstOptions = {},
): Promise<{ mx: ScriptedMx; sender: Transporter<SentInfo> }> {
  const mx = await ScriptedMx.open(script, HOST)
  const overrides = mode ? { [DOMAIN]: policy(mode) } : {}
  const transport = mtaStsTransport({ ...mx.options(), overrides, ...options })
  const sender = nodemailer.createTransport(transport)
  onTestFinished(async () => {
    sender.close()
    expect(mx.mistakes).toEqual([])
    await mx[Symbol.asyncDispose]()
  })
  return { mx, sender }
}
