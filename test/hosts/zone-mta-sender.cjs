'use strict'
// A sender process of ZoneMTA: its own sender, connection pool, sending zone and plugins, with
// Redis. The queue, which would need MongoDB, is in memory here; messages come by IPC.
const { createRequire } = require('node:module')
const { subscribe } = require('node:diagnostics_channel')
const { Readable } = require('node:stream')

const folder = process.env.ZONE_MTA
const requireFromHost = createRequire(`${folder}/app.js`)
const report = (what, facts) => process.send({ what, ...facts })

// As in services/sender.js: configuration, then plugins, then their users
const config = requireFromHost(process.env.ZONE_MTA_CONFIG)
const plugins = requireFromHost('./lib/plugins')
plugins.init('sender')
const db = requireFromHost('./lib/db')
const Sender = requireFromHost('./lib/sender')
const { SendingZone } = requireFromHost('./lib/sending-zone')
const ConnectionPool = requireFromHost('./lib/connection-pool')
const Redis = requireFromHost('ioredis')
requireFromHost('npmlog').level = 'verbose'

const queue = []
const waiting = []
const domains = new Map()
const cache = new Map()

function whenQueued(callback) {
  if (queue.length > 0) setImmediate(callback, queue.shift())
  else waiting.push(callback)
}

function enqueue(delivery) {
  const callback = waiting.shift()
  if (callback) callback(delivery)
  else queue.push(delivery)
}

function sendCommand(command, callback) {
  const { cmd, key, value, id, status, response, category } =
    typeof command === 'string' ? { cmd: command } : command
  // A request for the next message waits for it: senders ask an empty queue once a second
  if (cmd === 'GET') return void whenQueued((delivery) => callback(null, delivery))
  let answer = true
  if (cmd === 'GETCACHE') answer = cache.get(key)
  if (cmd === 'SETCACHE') cache.set(key, value)
  if (cmd === 'CLEARCACHE') cache.delete(key)
  const domain = domains.get(id)
  if (cmd === 'RELEASE') {
    report(status.delivered ? 'delivered' : 'bounced', {
      domain,
      text: `${status.mx} ${status.response}`,
    })
  }
  if (cmd === 'DEFER') report('deferred', { domain, text: `${category}: ${response}` })
  setImmediate(() => callback(null, answer))
}

const zoneName = 'default'
const zone = new SendingZone(zoneName, config.zones[zoneName], false)
plugins.handler.queue = { retrieve: () => Readable.from(['hello\r\n']) }
// The host's own log of a delivery; operators search it for `tls: true`
plugins.handler.remotelog = (id, _seq, action, entry) => {
  if (action === 'ACCEPTED') report('logged', { domain: domains.get(id), tls: entry.tls })
}
const redis = new Redis(config.dbs.redis)
redis.once('ready', () => {
  db.redis = redis
  plugins.handler.load(() => {
    new Sender('test', 1, zone, sendCommand, plugins.handler.queue, new ConnectionPool(sendCommand))
    report('ready')
  })
})

let count = 0
process.on('message', ({ domain, ...more }) => {
  const id = `id${++count}`
  domains.set(id, domain)
  enqueue({
    id,
    seq: '001',
    domain,
    recipient: `b@${domain}`,
    from: 'me@sender.example',
    headers: [{ key: 'subject', line: 'Subject: hello' }],
    dnsOptions: {},
    bodySize: 7,
    time: Date.now(),
    created: Date.now(),
    transtype: 'ESMTP',
    parsedEnvelope: {},
    interface: 'feeder',
    sendingZone: zoneName,
    _lock: id,
    ...more,
  })
})

subscribe('mta-sts:session', ({ policy, mxHost, failure }) => {
  const { resultType, reason } = failure ?? {}
  const text = failure && (reason ? `${resultType} (${reason})` : resultType)
  report('session', { domain: policy.domain, mode: policy.mode, mxHost, failure: text })
})
