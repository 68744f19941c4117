/**
 * The table of README: for each kind of work a figure, what it is beside, and the limit.
 *
 * @module
 */
import type { Findings, Row } from './benchmark.js'
import { cells, figure } from './table.js'

/** What a row of a benchmark is beside, in few words. */
type Beside = readonly [words: string, row: number]

interface Line {
  what: string
  /** The name of the benchmark's rows, of which the first has the figure of this package */
  of: string
  beside?: Beside
  limit?: Beside
}

const LINES: readonly Line[] = [
  {
    what: 'messages of 2 KB to one MX host, pooled',
    of: 'pool',
    beside: ["Nodemailer's pool", 0],
  },
  {
    what: 'the same, a connection for each',
    of: 'connect',
    limit: ['`tls.connect` and the commands', 0],
  },
  {
    what: 'messages to 10,000 domains, policies cached',
    of: 'domains',
    beside: ['without MTA-STS', 0],
  },
  {
    what: 'messages to 3,000 domains with TLSA records',
    of: 'dane',
    beside: ['without DANE', 0],
  },
  {
    what: 'recipients of one message in 2,000 domains',
    of: 'list',
    beside: ["a message each, Nodemailer's pool", 0],
  },
  {
    what: 'policies of new domains',
    of: 'cold',
    beside: ['mailauth', 1],
    limit: ['bare DNS and TLS', 0],
  },
  {
    what: 'policies of 100,000 cached domains',
    of: 'cached',
    beside: ['mailauth', 1],
    limit: ['`get` of lru-cache', 0],
  },
]

/** The lines whose benchmarks have run. */
export function readmeTable(all: readonly Findings[]): string {
  const rows = all.flatMap((findings) => findings.rows)
  const lines = LINES.flatMap(({ what, of, beside, limit }) => {
    const found = rows.filter(({ name }) => name === of)
    const [first] = found
    if (first === undefined) return []
    const ours = figure(first.ours.median, first.unit)
    return [cells([what, ours, other(beside, found), other(limit, found)])]
  })
  const head = ['', 'mta-sts', 'beside it', 'the limit']
  return [cells(head), cells(head.map(() => '---')), ...lines].join('\n')
}

function other(beside: Beside | undefined, rows: readonly Row[]): string {
  if (beside === undefined) return ''
  const [words, index] = beside
  const row = rows[index]
  return row?.theirs ? `${words}: ${figure(row.theirs.median, row.unit)}` : ''
}
