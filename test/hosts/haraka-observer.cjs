'use strict'
// A Haraka plugin of the tests: accepts every message, and reports its outcome.
const { subscribe } = require('node:diagnostics_channel')

const report = (what, facts) => process.send({ what, ...facts })

exports.register = function () {
  this.register_hook('connect', 'relay')
  this.register_hook('rcpt', 'accept')
  for (const hook of ['delivered', 'deferred', 'bounce']) this.register_hook(hook, hook)
  this.register_hook('init_master', 'ready')
}

exports.relay = (next, connection) => {
  connection.relaying = true
  next()
}
exports.accept = (next) => next(906) // OK

exports.ready = (next) => {
  report('ready')
  next()
}

exports.delivered = (next, hmail, [host, , response, , , , , secured]) => {
  const { domain } = hmail.todo
  const { mxHost: noted } = hmail.notes.mta_sts ?? {}
  report('delivered', { noted, domain, text: `${host} ${response}`, tls: secured === true })
  next()
}

exports.deferred = (next, hmail, { err }) => {
  const { domain } = hmail.todo
  report('deferred', { domain, text: String(err) })
  // DENYSOFT: the next attempt after this many seconds
  if (domain.startsWith('retried-')) next(903, 1)
  else next()
}

exports.bounce = (next, hmail, error) => {
  report('bounced', { domain: hmail.todo.domain, text: String(error.message ?? error) })
  next()
}

subscribe('mta-sts:session', ({ policy, mxHost, failure }) => {
  const { resultType, reason } = failure ?? {}
  const text = failure && (reason ? `${resultType} (${reason})` : resultType)
  report('session', { domain: policy.domain, mode: policy.mode, mxHost, failure: text })
})
