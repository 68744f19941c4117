/**
 * The process of one server. It ends with its parent process.
 *
 * @module
 */
import { startDns } from './dns.js'
import { startPolicyHost } from './policy-host.js'
import type { Order, Report, Running, ServerSetup } from './setup.js'
import { startSink } from './sink.js'

let running: Running | undefined

process.on('message', (order: Order) => {
  carryOut(order).then(tell, (error: unknown) => tell({ error: String(error) }))
})
process.on('disconnect', () => process.exit())

async function carryOut(order: Order): Promise<Report> {
  if (order !== 'take') {
    running = await start(order.setup, order.port)
    return { port: running.port }
  }
  if (running === undefined) throw new Error('The server was not started')
  return { counts: running.take() }
}

function start(setup: ServerSetup, port: number): Promise<Running> {
  switch (setup.role) {
    case 'sink':
      return startSink(setup, port)
    case 'dns':
      return startDns(setup, port)
    case 'policy':
      return startPolicyHost(setup, port)
  }
}

function tell(report: Report): void {
  process.send?.(report)
}
