/** `mta-sts/nodemailer` where Nodemailer is not installed. */
import { expect, it } from 'vitest'
import { mtaStsTransport, withMtaSts } from '../../src/nodemailer/index.js'
import { withoutPackage } from '../support/without-package.js'

withoutPackage('nodemailer')

it.each([
  ['withMtaSts()', () => withMtaSts('smtp://mail.example')],
  ['mtaStsTransport() with a logger', () => mtaStsTransport({ logger: true })],
])('%s says what to install', (_, call) => {
  expect(call).toThrow(
    expect.objectContaining({
      name: 'MtaStsError',
      code: 'EPEER',
      message: 'mta-sts/nodemailer needs the package nodemailer: npm install nodemailer',
    }),
  )
})
