/** Runs every example program by the command in its first comment. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { whyNoRedis } from '../policy/stores/redis-server.js'
import { commandOf, EXAMPLES, printed, TIMEOUT } from './support.js'

/** Programs that show something: parts of their output. */
const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  'demo.ts': [
    'valid.example        enforce  mx.valid.example      TLSv1.3  delivered',
    'stripped.example     enforce  mx.stripped.example   -        refused',
    'second.example       enforce  mx2.second.example    TLSv1.3  delivered',
    'All 11 as they should be; nothing leaked.',
  ],
  'own-sender.ts': [
    'mx1.bob.example took it, and had proved sts: 250 ',
    'mx2.bob.example took it, and had proved sts: 250 ',
    'Not delivered to bob.example: no host proved what its MTA-STS policy asks for ' +
      '(mx1.bob.example: certificate-expired; mx2.bob.example: starttls-not-supported (not-offered)).',
    '\n2 messages arrived\n',
  ],
  'hand-over.ts': [
    'mx1.bob.example: MAIL FROM: never said\nmx2.bob.example: MAIL FROM: me@sender.example\n',
    '(mx1.bob.example: certificate-host-mismatch; mx2.bob.example: certificate-expired).',
    '\n1 message arrived\n',
  ],
  'nodemailer.ts': [
    'you@bob.example: mx.bob.example has it, and proved its name\n',
    'you@carol.example: refused, mx.carol.example: certificate-host-mismatch; kept for later\n' +
      'you@carol.example: mx.carol.example has it, and proved its name\n',
    'Both arrived\n',
  ],
  'smart-host.ts': [
    'smtp.provider.example has it, after the login: 250 ',
    '(smtp.provider.example: certificate-expired). Nothing was sent; try again later.\n' +
      '  it heard: EHLO sender.example, STARTTLS\n',
    '(smtp.provider.example: starttls-not-supported (not-offered)). Nothing was sent; try again later.\n' +
      '  it heard: EHLO sender.example\n',
    'Put right, it has that too; 0 words to anybody else\n',
  ],
  'postgres-store.ts': ['holds: [STS-53] a later fetch replaces an earlier one\n', ' rules hold\n'],
  'queue.ts': [
    'to Bob, attempt 1: Not delivered to bob.example: ',
    // By a worker that can no longer find the policy, but in Redis
    'to Bob, attempt 2: Not delivered to bob.example: no host proved what its MTA-STS policy ' +
      'asks for (mx.bob.example: certificate-expired). Nothing was sent; try again later.\n' +
      '  in the queue again for bob@bob.example\n',
    'to Bob, attempt 3: delivered\n',
    'to Ann and Carol, attempt 1: Not delivered to carol.example: ',
    '  in the queue again for carol@carol.example\n',
    'to Ann and Carol, attempt 2: delivered\n',
    'to Dave, attempt 1: dave@dave.example: Recipient command failed: 550 5.1.1 No such user\n' +
      '  failed\n',
    // Even though the first recipient's refusal is permanent
    'to Dave and Carol, attempt 1: Not delivered to carol.example: ',
    'to Dave and Carol, attempt 2: dave@dave.example: Recipient command failed: 550 ',
    'In the end: 2 delivered, 2 failed\n',
  ],
  'express.ts': [
    '202 {"status":"delivered"}\n400 {"error":"A name, an e-mail address and a text, please"}\n',
    '  Subject: Contact form: Eve Bcc: all@else.example, for owner@shop.example\n',
    '(mx.shop.example: certificate-not-trusted (self-signed)). Nothing was sent; try again later.\n' +
      '503 (Retry-After: 300) {"error":"Your message cannot be delivered now. Please try again later"}\n',
    '500 {"error":"Your message cannot be delivered"}\n2 messages for owner@shop.example\n',
  ],
  'dane.ts': [
    'good.example       delivered, proved: dane\n',
    'rollover.example   delivered, proved: dane\n',
    'forgotten.example  refused for now: validation-failure (tlsa-mismatch)\n',
    'tampered.example   refused for now: dnssec-invalid (dnssec-bogus)\n',
    'unsigned.example   delivered, proved: nothing\n3 messages arrived\n',
  ],
  'tlsrpt.ts': ['starttls-not-supported at mx.stripped.example', '\n3 sent, 1 not asked for\n'],
}

/** Programs that cannot be run here, with the reason. */
const MISSING: Readonly<Record<string, string | undefined>> = {
  'queue.ts': process.env.REDIS_URL ? undefined : whyNoRedis(),
}

describe('the programs', () => {
  const programs = readdirSync(EXAMPLES).filter((name) => name.endsWith('.ts'))

  it('are all tested', () => expect(programs.toSorted()).toEqual(Object.keys(EXPECTED).toSorted()))

  it.for(programs)('%s', { timeout: TIMEOUT }, async (name, { skip }) => {
    skip(MISSING[name] !== undefined, MISSING[name])
    const output = await printed(commandOf(join(EXAMPLES, name)))
    expect(output).not.toBe('')
    for (const line of EXPECTED[name] ?? []) expect(output).toContain(line)
  })
})
