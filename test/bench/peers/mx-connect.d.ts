/** The used part of mx-connect, which has no types. */
declare module 'mx-connect' {
  import type { Resolver } from 'node:dns'
  import type { Socket } from 'node:net'
  import type { MTASTSPolicy } from 'mailauth'

  interface Options {
    /** An address or a domain */
    target: string
    dnsOptions?: { resolve: Resolver['resolve']; blockLocalAddresses: boolean }
    mtaSts: {
      enabled: boolean
      cache: {
        get(domain: string): Promise<MTASTSPolicy | false>
        set(domain: string, policy: MTASTSPolicy): Promise<unknown>
      }
    }
    connectHook?(
      delivery: unknown,
      options: { host: string; port: number },
      done: (error?: Error) => void,
    ): void
  }

  interface Connection {
    socket: Socket
    hostname: string
    port: number
    policyMatch: { valid: boolean; mode: string }
  }

  export default function mxConnect(options: Options): Promise<Connection>
}
