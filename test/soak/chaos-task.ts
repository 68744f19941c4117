/** Data shared by chaos.soak.ts and its child processes. */

export type Place =
  | { kind: 'sqlite'; path: string }
  | { kind: 'redis'; port: number; client: 'redis' | 'ioredis' }

export type Task =
  /** Publishes batches and flushes each, until it receives "stop" or is killed */
  | { do: 'count'; place: Place; name: string; offset: number }
  /** Sends what is due, once */
  | { do: 'send'; place: Place; offset: number }

export type Answer =
  | { batch: number }
  | { acknowledged: number }
  | { sent: string }
  | { done: true }

/** Sessions of a batch with its own domain, and with one that all batches share. */
export const OWN_SESSIONS = 7
export const SHARED_SESSIONS = 3
export const SHARED = 'shared.example'

export function ownDomain(name: string, batch: number): string {
  return `b${batch}.${name}.example`
}
