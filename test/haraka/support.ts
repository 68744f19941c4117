/** A substitute for Haraka. */

/** The parts of Haraka's code that the plugin checks. */
export function modules(version = '3.3.4') {
  const get_client = (callback: (...facts: unknown[]) => void, socket: unknown) => {
    callback(null, socket)
  }
  const release_client = (socket: { destroy(): void }) => {
    socket.destroy()
  }
  class HMailItem {
    [name: string]: unknown
    get_mx_respond() {
      return 'this.found_mx( '
    }
    found_mx() {
      return 'this.try_deliver()'
    }
    try_deliver() {
      return 'this.mxlist.shift() this.force_tls = this.get_force_tls( client_pool.get_client(mx'
    }
    try_deliver_host_on_socket() {
      return `self.try_deliver() socket.once('secure' socket.upgrade( self.delivered(`
    }
    delivered() {
      return 'delivered'
    }
    temp_fail() {
      return 'deferred'
    }
    bounce() {}
    discard() {}
    extend_rcpt_with_dsn() {
      return 'dsn.det'
    }
  }
  return {
    'package.json': { version } as object,
    'outbound/client_pool': { get_client, release_client } as Record<string, unknown>,
    'outbound/hmail': HMailItem as object,
    outbound: { net_utils: { HarakaMx: class {}, ip_in_list: () => false } } as object,
    'outbound/tls': { get_tls_options: () => ({}), cfg: { no_tls_hosts: ['a.example'] } } as object,
    'outbound/config': { cfg: { local_mx_ok: true } } as object,
  }
}
