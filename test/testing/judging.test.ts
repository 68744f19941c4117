/** What a world says of a test that went wrong: explain, verify, strict, reset; and DNS over time. */
import nodemailer from 'nodemailer'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import { createMailWorld, type MailWorld } from '../../src/testing/index.js'
import { codeOf } from './support.js'

let world: MailWorld

beforeEach(async () => {
  world = await createMailWorld()
})
afterEach(() => world.close())

const message = { from: 'me@shop.example', to: 'b@bob.example', subject: 'Hi', text: 'Hello' }

describe('explain()', () => {
  it('says in ten lines what was asked, dialled and answered', async () => {
    const bob = world.domain('bob.example', { mode: 'enforce', mx: ['mx1', 'mx2'] })
    bob.mx('mx1').fails('unreachable')
    bob.mx('mx2').rule({ at: 'rcpt', reply: '451 4.7.1 Come back later' })
    const transporter = nodemailer.createTransport(mtaStsTransport(world.options()))
    expect(await codeOf(transporter.sendMail(message))).toBeDefined()
    transporter.close()
    const lines = world.explain().split('\n')
    expect(lines.length).toBeLessThanOrEqual(11)
    expect(lines).toEqual([
      'In this mail world:',
      expect.stringMatching(/^ {2}asked the DNS for .*_mta-sts\.bob\.example TXT/),
      '  fetched https://mta-sts.bob.example/.well-known/mta-sts.txt: 200',
      expect.stringMatching(/^ {2}asked the DNS for .*mx1\.bob\.example A/),
      expect.stringMatching(/^ {2}dialled mx1\.bob\.example:25 .*: refused$/),
      expect.stringMatching(
        /^ {2}sender\.example at mx2\.bob\.example:25, TLSv1\.3: MAIL FROM.* → 250 .*RCPT TO:<b@bob\.example> → 451 4\.7\.1 Come back later/,
      ),
      expect.stringContaining('in force: mx1.bob.example: unreachable; mx2.bob.example: at rcpt'),
      '  no message arrived',
    ])
  })

  it('is not longer when more has happened, and shows the latest', async () => {
    world.domain('bob.example')
    const transporter = nodemailer.createTransport(world.nodemailer())
    for (let n = 1; n <= 20; n++) await transporter.sendMail({ ...message, subject: `Number ${n}` })
    const text = world.explain()
    expect(text.split('\n').length).toBeLessThanOrEqual(11)
    expect(text).toContain('"Number 20"')
    expect(text).toMatch(/\(\d+ earlier lines\)/)
  })

  it('says that nothing happened', () => {
    expect(world.explain()).toBe(
      'In this mail world:\n  no sender asked or dialled anything\n  no message arrived',
    )
  })

  it('escapes what a client said', async () => {
    const bob = world.domain('bob.example')
    const transporter = nodemailer.createTransport({ ...world.nodemailer(bob.mx()), name: 'x' })
    await transporter.sendMail({ ...message, subject: 'a\u202eb' })
    expect(world.explain()).not.toContain('\u202e')
  })
})

describe('verify()', () => {
  it('throws for a fault, a rule and a record that were never met', async () => {
    const bob = world.domain('bob.example')
    bob.mx().fails('expired', { times: 1 })
    bob.mx().rule({ at: 'data', reply: '451 4.3.0 Later' })
    bob.policyHost.fails('404')
    bob.dns.fails('servfail', 'mx-hosts')
    world.dns.set('x.example', 'TXT', ['x'], { times: 1 })
    expect(() => world.verify()).toThrow(
      /mx\.bob\.example: expired\n.*mx\.bob\.example: at data.*\n.*mta-sts\.bob\.example: 404\n.*bob\.example: servfail at mx-hosts\n.*TXT x\.example\nIn this mail world/,
    )
  })

  it('is content when all were met', async () => {
    const bob = world.domain('bob.example')
    bob.mx().fails('slow')
    await nodemailer.createTransport(world.nodemailer(bob.mx())).sendMail(message)
    world.verify()
  })
})

describe('strict', () => {
  it('refuses recipients whose domain nobody made, with the nearest', async () => {
    await using strict = await createMailWorld({ strict: true })
    strict.domain('bob.example')
    const transporter = nodemailer.createTransport(strict.nodemailer())
    await expect(transporter.sendMail({ ...message, to: 'typo@bob.exmaple' })).rejects.toThrow(
      /550 5\.1\.2 mail to typo@bob\.exmaple.*nearest is bob\.example/,
    )
    expect(() => strict.verify()).toThrow(/typo@bob\.exmaple/)
    await expect(strict.domain('bob.example').inbox.none()).rejects.toThrow(/bob\.exmaple/)
    strict.forget()
    await transporter.sendMail(message)
    strict.verify()
  })

  it('says so when the world is closed, the ports being free', async () => {
    const strict = await createMailWorld({ strict: true })
    await codeOf(strict.options().resolver.resolveMx('bob.exmaple'))
    await expect(strict.close()).rejects.toThrow(/bob\.exmaple/)
  })

  it('is off unless asked for: strays are listed', async () => {
    world.domain('bob.example')
    await nodemailer
      .createTransport(world.nodemailer())
      .sendMail({ ...message, to: 'x@bob.exmaple' })
    expect(world.strays).toEqual([expect.stringContaining('nearest is bob.example')])
  })
})

describe('reset()', () => {
  it('puts back faults, rules, habits, records, policy and clock, and empties inboxes', async () => {
    const bob = world.domain('bob.example', { mode: 'enforce', id: 'first' })
    const transporter = nodemailer.createTransport(world.nodemailer(bob.mx()))
    await transporter.sendMail(message)
    const handles = [
      bob.mx().fails('expired'),
      bob.mx().rule({ at: 'mail', reply: '451 4.3.0 Later' }),
      bob.mx().knows([]),
      bob.policyHost.fails('404'),
      bob.dns.fails('nxdomain'),
    ]
    bob.mx().certificate({ san: ['DNS:other.example'] })
    bob.mx().tls({ clientCertificate: 'require' })
    bob.mx().offers({ SIZE: 1 })
    bob.policy({ mode: 'none' })
    world.dns.set('bob.example', 'MX', [])
    world.clock.advance({ days: 1 })
    world.chaos({ replies: 1 })

    world.reset()

    expect(handles.map(({ over }) => over)).toEqual([true, true, true, true, true])
    expect(world.clock.now() - Date.now()).toBeLessThan(1000)
    expect(bob.policyFile).toContain('mode: enforce')
    expect(bob.id).toBe('first')
    expect([bob.inbox, bob.mx().inbox, world.inbox, world.log]).toEqual([[], [], [], []])
    const { resolver } = world.options()
    expect(await resolver.resolveMx('bob.example')).toHaveLength(1)
    expect(await resolver.resolveTxt('_mta-sts.bob.example')).toHaveLength(1)
    await nodemailer.createTransport(world.nodemailer(bob.mx())).sendMail(message)
    expect(bob.inbox).toHaveLength(1)
    world.verify()
  })
})

describe('records with a lifetime', () => {
  it('have a TTL, and last for so many questions or so long', async () => {
    const { resolver } = world.options()
    world.dns.set('mx.example', 'A', ['192.0.2.1'], { ttl: 300 })
    expect(await resolver.resolve4('mx.example', { ttl: true })).toEqual([
      { address: '192.0.2.1', ttl: 300 },
    ])
    const twice = world.dns.set('mx.example', 'A', ['192.0.2.2'], { times: 2 })
    const answers: string[][] = []
    for (let n = 0; n < 3; n++) answers.push(await resolver.resolve4('mx.example'))
    expect(answers).toEqual([['192.0.2.2'], ['192.0.2.2'], ['192.0.2.1']])
    expect(twice).toMatchObject({ met: 2, over: true })
    world.dns.set('mx.example', 'A', ['192.0.2.3'], { during: { minutes: 1 } })
    expect(await resolver.resolve4('mx.example')).toEqual(['192.0.2.3'])
    world.clock.advance({ minutes: 1 })
    expect(await resolver.resolve4('mx.example')).toEqual(['192.0.2.1'])
  })

  it('are of the types SRV, PTR and TLSA as well', async () => {
    const { resolver } = world.options()
    const srv = { priority: 1, weight: 2, port: 587, target: 'smtp.example' }
    world.dns.set('_submission._tcp.example', 'SRV', [srv])
    const { target: name, ...rest } = srv
    expect(await resolver.resolveSrv('_submission._tcp.example')).toMatchObject([{ name, ...rest }])
    world.dns.set('1.2.0.192.in-addr.arpa', 'PTR', ['mx.example'])
    expect(await resolver.reverse('192.0.2.1')).toEqual(['mx.example'])
    const tlsa = { usage: 3, selector: 1, matchingType: 1, data: 'a1b2' }
    world.dns.set('_25._tcp.mx.example', 'TLSA', [tlsa])
    expect(world.queries).toHaveLength(2)
  })
})
