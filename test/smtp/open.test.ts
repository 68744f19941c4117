import { describe, expect, test } from 'vitest'
import { ENVELOPE, open, ScriptedMx, takeMessages, untilSecured } from './support.js'

describe('openSmtp', () => {
  test('opens a verified connection and sends a message on it', async () => {
    await using mx = await ScriptedMx.open(async (peer) => {
      await untilSecured(peer, { after: ['PIPELINING', 'SIZE 1000000'] })
      await takeMessages(peer)
    })
    const connection = await open(mx)
    expect(connection.tls).toMatchObject({ version: 'TLSv1.3' })
    expect(connection.proved).toEqual(['sts'])
    expect(connection.seen.sessions).toMatchObject([
      { address: '192.0.2.1', helo: 'greeting.example' },
    ])
    const result = await connection.send(ENVELOPE, 'Subject: x\n\n.dot\nend')
    expect(result).toMatchObject({
      accepted: ['bob@bob.example'],
      rejected: [],
      response: '250 Taken',
      messageSize: 26,
    })
    expect(mx.peers[0]?.heard).toEqual([
      'EHLO sender.example',
      'STARTTLS',
      'EHLO sender.example',
      'MAIL FROM:<ann@sender.example> SIZE=20 BODY=8BITMIME',
      'RCPT TO:<bob@bob.example>',
      'DATA',
      'Subject: x',
      '',
      '..dot',
      'end',
      '.',
    ])
    await connection.quit()
    expect(connection.closed).toBe(true)
    expect(mx.mistakes).toEqual([])
  })
})
