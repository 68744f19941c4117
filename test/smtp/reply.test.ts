import { readdir, readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { isStaleConnection } from '../../src/smtp/error-meaning.js'
import {
  allRejectedError,
  earlyReplyError,
  replyError,
  withRejections,
} from '../../src/smtp/errors.js'
import { isFinalReply, type Reply, type SmtpStep } from '../../src/smtp/reply.js'

const reply = (...lines: string[]): Reply => ({ code: Number(lines[0]?.slice(0, 3)), lines })
const WELL = { tlsFailed: false }
const AFTER_FAILED_TLS = { tlsFailed: true }

const MAIL_STEPS: SmtpStep[] = ['MAIL FROM', 'RCPT TO', 'DATA', 'message']
const EARLY_STEPS: SmtpStep[] = ['CONN', 'EHLO', 'HELO', 'STARTTLS', 'RSET', 'QUIT']

describe('[STS-56] what makes an error permanent', () => {
  test.each(MAIL_STEPS)('5yz to %s is permanent', (step) => {
    for (const line of [
      '550 5.1.1 no such user',
      '552 too large',
      '554 5.7.1 no',
      '500',
      '571 no',
    ]) {
      expect([line, isFinalReply(step, reply(line), WELL)]).toEqual([line, true])
    }
  })

  test.each(MAIL_STEPS)('4yz to %s is temporary', (step) => {
    for (const line of ['421 bye', '450 4.2.1 later', '451 5.7.1 odd', '452 full', '454 tls']) {
      expect([line, isFinalReply(step, reply(line), WELL)]).toEqual([line, false])
    }
  })

  test.each(MAIL_STEPS)('a reply to %s that demands TLS or another order is temporary', (step) => {
    for (const lines of [
      ['503 5.5.1 bad sequence'],
      ['530 5.7.0 Must issue a STARTTLS command first'],
      ['538 5.7.11 encryption required'],
      ['550 5.7.10 encryption needed'],
      ['550 5.7.11'],
      ['554 5.7.10'],
      ['550-5.7.10 encryption needed', '550 see our page'],
      ['550-see our page', '550 5.7.10 encryption needed'],
    ]) {
      expect([lines, isFinalReply(step, reply(...lines), WELL)]).toEqual([lines, false])
    }
  })

  test('a similar enhanced code is permanent', () => {
    for (const line of ['550 5.7.1 no', '550 5.7.12 no', '550 5.7.100 no', '550 see 5.7.10']) {
      expect([line, isFinalReply('RCPT TO', reply(line), WELL)]).toEqual([line, true])
    }
  })

  test.each(MAIL_STEPS)('any plaintext reply to %s after failed TLS is temporary', (step) => {
    for (const line of ['530 no', '550 5.1.1 no such user', '554 no', '552 too large']) {
      expect([line, isFinalReply(step, reply(line), AFTER_FAILED_TLS)]).toEqual([line, false])
    }
  })

  test.each(EARLY_STEPS)('any reply to %s is temporary', (step) => {
    for (const line of ['500', '502 what', '530 no', '550 no', '554 5.7.1 go away']) {
      expect([line, replyError(step, reply(line), WELL).permanent]).toEqual([line, false])
    }
  })

  test('[SMTP-9] any early reply is temporary', () => {
    for (const step of [...MAIL_STEPS, ...EARLY_STEPS]) {
      for (const line of ['250 ok', '421 bye', '552 too large']) {
        const { permanent } = earlyReplyError(step, reply(line))
        expect([step, line, permanent]).toEqual([step, line, false])
      }
    }
  })

  test('a message is permanently refused only when every recipient is', () => {
    const refused = (line: string, recipient: string) =>
      replyError('RCPT TO', reply(line), WELL, recipient)
    const both = [refused('550 no', 'a@b.example'), refused('550 no', 'c@b.example')]
    expect(allRejectedError(both)).toMatchObject({
      code: 'EENVELOPE',
      command: 'RCPT TO',
      responseCode: 550,
      permanent: true,
      rejected: ['a@b.example', 'c@b.example'],
      rejectedErrors: both,
    })
    const one = [refused('550 no', 'a@b.example'), refused('451 later', 'c@b.example')]
    expect(allRejectedError(one)).toMatchObject({ permanent: false })
    const whole = replyError('message', reply('550 spam'), WELL)
    expect(withRejections(whole, one)).toMatchObject({ permanent: false })
  })

  test('no other file of this folder decides', async () => {
    const folder = new URL('../../src/smtp/', import.meta.url)
    const deciding = ['reply.ts', 'errors.ts', 'error-meaning.ts']
    const files = (await readdir(folder)).filter((file) => !deciding.includes(file))
    expect(files.length).toBeGreaterThan(5)
    for (const file of files) {
      const code = (await readFile(new URL(file, folder), 'utf8')).replace(
        /\/\*[\s\S]*?\*\/|\/\/.*/g,
        '',
      )
      expect([file, /permanent/.test(code)]).toEqual([file, false])
    }
  })
})

describe('the error of a reply', () => {
  test.each([
    ['MAIL FROM', 'EENVELOPE', 'MAIL FROM'],
    ['RCPT TO', 'EENVELOPE', 'RCPT TO'],
    ['DATA', 'EMESSAGE', 'DATA'],
    ['message', 'EMESSAGE', 'DATA'],
    ['CONN', 'EPROTOCOL', 'CONN'],
    ['EHLO', 'EPROTOCOL', 'EHLO'],
  ] as const)("to %s has Nodemailer's fields", (step, code, command) => {
    const error = replyError(step, reply('550 5.1.1 no'), WELL, 'a@b.example')
    expect(error).toMatchObject({
      code,
      command,
      responseCode: 550,
      response: '550 5.1.1 no',
      recipient: 'a@b.example',
    })
    expect(error.message).toContain('550 5.1.1 no')
  })

  test('out of order is a protocol error', () => {
    for (const line of ['354 go on', '250 ok']) {
      expect(replyError('RCPT TO', reply(line), WELL)).toMatchObject({
        code: 'EPROTOCOL',
        permanent: false,
      })
    }
  })

  test("[STS-58] escapes and truncates the host's text", () => {
    const { message, response } = replyError(
      'RCPT TO',
      reply('550-\x1b[31mred\rfoo\u202e', ...Array<string>(300).fill('550-more of it'), '550 end'),
      WELL,
    )
    expect(message).toContain('550-\\u{1b}[31mred\\u{d}foo\\u{202e}')
    expect(message.length).toBeLessThan(300)
    expect(response?.split('\n', 2)).toEqual([
      '550-\\u{1b}[31mred\\u{d}foo\\u{202e}',
      '550-more of it',
    ])
    expect(response?.length).toBeLessThanOrEqual(2001)
  })
})

describe('[SMTP-12] a stale connection', () => {
  const stale = (step: SmtpStep, line: string) =>
    isStaleConnection(replyError(step, reply(line), WELL))

  test('answers MAIL with 421, 451, 452 or 503, or refuses RSET', () => {
    for (const code of [421, 451, 452, 503]) expect(stale('MAIL FROM', `${code} no`)).toBe(true)
    expect(stale('RSET', '500 what')).toBe(true)
    expect(stale('RCPT TO', '421 bye')).toBe(true)
  })

  test('does not refuse the sender, a recipient or the message', () => {
    for (const code of [450, 454, 550, 552]) expect(stale('MAIL FROM', `${code} no`)).toBe(false)
    expect(stale('RCPT TO', '451 later')).toBe(false)
    expect(stale('DATA', '451 later')).toBe(false)
    expect(stale('message', '421 bye')).toBe(false)
    expect(stale('message', '451 later')).toBe(false)
    expect(isStaleConnection(new Error('another'))).toBe(false)
  })
})
