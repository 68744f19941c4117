/** Data shared by processes.test.ts and its child processes. */

import type { ReportStore } from '../../src/tlsrpt/index.js'
import { failedSession, plainSession, publishSession } from './support.js'

export type StorePlace =
  | { kind: 'sqlite'; path: string }
  | { kind: 'redis'; port: number; prefix: string }

/** A step of counting or sending, before or after which a process dies. */
export interface Death {
  method: keyof ReportStore | 'sendMail'
  when: 'before' | 'after'
  /** Number of the call; default: the first */
  call?: number
}

export type Task =
  /** Publishes sessions and stores the counts */
  | { do: 'count'; place: StorePlace; process: number; sessions: number }
  /** Sends the reports of the day */
  | { do: 'report'; place: StorePlace }
  /** Both, until it dies */
  | { do: 'die'; place: StorePlace; death: Death; sessions: number }

/** A mail that a process has sent, in base64. */
export interface SentMessage {
  sent: string
}

export const DOMAINS = ['a.example', 'b.example', 'bob.example']

/** Sessions of the n-th process: some fail, of three domains, each process from its own address. */
export function publishSessions(process: number, sessions: number): void {
  const localAddress = `198.51.100.${process}`
  for (let n = 0; n < sessions; n++) {
    const domain = DOMAINS[n % 3] ?? ''
    const failing = n % 10 === 0
    if (domain === 'bob.example') publishSession(failedSession({ localAddress }))
    else if (failing) {
      const failure = { resultType: 'starttls-not-supported', reason: 'not-offered' } as const
      publishSession(plainSession(domain, { localAddress, failure }))
    } else publishSession(plainSession(domain, { localAddress }))
  }
}
