/**
 * Files that are made to cost time or memory: small under compression, or within the size limit.
 *
 * @module
 */
import { deflateSync, gzipSync } from 'node:zlib'

const LIMIT = 16 * 1024 * 1024
const MAIL_LIMIT = 8 * 1024 * 1024

const START =
  '{"organization-name":"x","report-id":"1","date-range":{"start-datetime":"2026-01-01","end-datetime":"2026-01-01"},'

/** Repeats a text up to this many bytes. */
const fill = (text: string, size = LIMIT - 1000) => text.repeat(Math.floor(size / text.length))

const mail = (...lines: string[]) => Buffer.from(lines.join('\n'))

/** Fields with different names. */
function differentFields(size: number): string {
  const fields: string[] = []
  for (let length = 0; length < size; length += 12) fields.push(`"k${fields.length}":0,`)
  return fields
    .join('')
    .slice(0, size)
    .replace(/"[^"]*$/, '')
}

const DETAILS =
  '{"result-type":"certificate-expired","sending-mta-ip":"192.0.2.1","receiving-mx-hostname":"mx1.example.com","receiving-ip":"192.0.2.99","failed-session-count":1,"failure-reason-code":"X"}'

function bombs(): Buffer {
  const bomb = gzipSync(Buffer.alloc(LIMIT, ' ')).toString('base64')
  const part = `--b\nContent-Type: application/tlsrpt+gzip\nContent-Transfer-Encoding: base64\n\n${bomb}\n`
  return mail('Content-Type: multipart/mixed; boundary=b', '', fill(part, MAIL_LIMIT - 1000))
}

function deepMail(): Buffer {
  const header = 'Content-Type: message/rfc822\n\n'
  return mail(`${fill(header, 300)}A: b`, '', fill('x', MAIL_LIMIT - 1000))
}

/** Files by content. */
export const HOSTILE_FILES: Readonly<Record<string, () => Buffer>> = {
  'brackets under gzip': () => gzipSync(fill('[')),
  'brackets under gzip under zlib': () => deflateSync(gzipSync(fill('['))),
  'brackets in place of policies': () => gzipSync(`${START}"policies":${fill('[')}`),
  'empty objects in an unknown field': () => gzipSync(`${START}"x":[${fill('{},')}{}]}`),
  'empty objects in place of policies': () => gzipSync(`${START}"policies":[${fill('{},')}{}]}`),
  'as many empty policies as are read': () =>
    gzipSync(`${START}"policies":[${fill('{"policy":{}},', 1_300_000)}{}]}`),
  'as many empty failures as are read': () =>
    gzipSync(`${START}"policies":[{"failure-details":[${fill('{},', 740_000)}{}]}]}`),
  'more empty failures than are read': () =>
    gzipSync(`${START}"policies":[{"failure-details":[${fill('{},')}{}]}]}`),
  '86,000 complete failures': () =>
    gzipSync(`${START}"policies":[{"failure-details":[${fill(`${DETAILS},`)}{}]}]}`),
  numbers: () => gzipSync(`${START}"policies":[${fill('1,')}1]}`),
  'lines of a policy': () =>
    gzipSync(`${START}"policies":[{"policy":{"policy-string":[${fill('"a",')}"a"]}}]}`),
  'fields with a million names': () => gzipSync(`${START}${differentFields(LIMIT - 1000)}"x":0}`),
  'one field a million times': () => gzipSync(`{${fill('"report-id":"a",')}"policies":[]}`),
  'a name of 16 MiB': () => gzipSync(`{"organization-name":"${fill('a')}"}`),
  'a name of 4 million emoji': () => gzipSync(`{"organization-name":"${fill('😀', LIMIT / 4)}"}`),
  'a name of escapes': () => gzipSync(`{"organization-name":"${fill('\\u0041')}"}`),
  'a name of backslashes': () => gzipSync(`{"organization-name":"${fill('\\')}"}`),
  'a name of escaped quotes': () => gzipSync(`{"organization-name":"${fill('\\"')}"}`),
  'an id of digits': () => gzipSync(`{"report-id":${fill('9')}}`),
  'more reports than are read': () => gzipSync(fill(`${START}"policies":[]}\n`)),
  'a list of numbers': () => gzipSync(`[${fill('1,')}1]`),
  spaces: () => Buffer.from(fill(' ')),
  'members of gzip': () => Buffer.concat([...Array(400_000).fill(gzipSync('')), Buffer.from('x')]),
  'an mbox of tiny mails': () => Buffer.from(fill('From x\nA: b\n\nx\n')),
  'an mbox of 2,900 mails': () => Buffer.from('From x\nA: b\n\nx\n'.repeat(2900)),
  'an mbox of 400 mails of 29,000 lines': () =>
    Buffer.from(`From x\nA: b\n\n${'\n'.repeat(29_000)}`.repeat(400)),
  'a mail of line breaks': () => mail('A: b', '', fill('\n')),
  'a mail of 29,000 lines': () =>
    mail('Content-Type: application/json', '', `${'x'.repeat(200)}\n`.repeat(29_000)),
  'a mail of one line': () =>
    mail('Content-Type: application/json', '', `{${fill('x', MAIL_LIMIT - 1000)}`),
  'a mail of equals signs in Base64': () =>
    mail('Content-Type: a/b', 'Content-Transfer-Encoding: base64', '', fill('A=')),
  'a mail of 19,000 equals signs in Base64': () =>
    mail(
      'Content-Type: a/b',
      'Content-Transfer-Encoding: base64',
      '',
      `A=${'A'.repeat(400)}`.repeat(19_000),
    ),
  'a mail of 900 parts': () =>
    mail(
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b\nContent-Transfer-Encoding: quoted-printable\nContent-Type: a/b\n\nx\n'.repeat(900),
    ),
  'a mail of 900 mails': () =>
    mail(
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b\nContent-Type: message/rfc822\n\nA: b\n\nx\n'.repeat(900),
    ),
  'a mail of gzip bombs': bombs,
  'mails inside each other': deepMail,
  'a mail of HTML': () =>
    mail(
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b\nContent-Type: text/html\n',
      fill('<a href=x>&amp;', 240_000).slice(0, 240_000),
      fill('<', MAIL_LIMIT - 300_000),
      '--b',
      '',
      'x',
    ),
  'a mail of links': () =>
    mail(
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b\nContent-Type: text/html\n\nx\n--b\nContent-Type: text/plain\n',
      fill('http://a ', MAIL_LIMIT - 1000),
    ),
  'a header of spaces': () => mail(`Content-Type: a/b; name="${' '.repeat(200_000)}x"`, '', 'x'),
  'a header of parameters': () => mail(`Content-Type: a/b${'; name*0*=b'.repeat(1600)}`, '', 'x'),
  'a header of encoded words': () => mail(`Subject: ${'=?utf-8?q?a?= '.repeat(3000)}`, '', 'x'),
}
