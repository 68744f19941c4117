/**
 * The forms in which `check` prints reports: text, a line each, one JSON document, NDJSON.
 *
 * @module
 */
import type { CliContext } from '../context.js'
import { toJson } from '../layout.js'
import { painter, screenOf } from '../terminal.js'
import type { CheckReport, Verdict } from './findings.js'
import { renderBrief, renderReport } from './render.js'

export interface CheckPrinter {
  /** Reports come in the order of the list, however long one takes */
  strict?: true
  begin?(): void
  add(report: CheckReport): void
  end?(summary: Summary): void
}

/** The count of domains for each verdict. */
export interface Summary {
  total: number
  counts: Readonly<Record<Verdict['status'], number>>
}

export type Form = 'text' | 'brief' | 'json' | 'ndjson'

export function printerOf(form: Form, context: CliContext, now: () => number): CheckPrinter {
  const write = (text: string) => void context.stdout.write(text)
  switch (form) {
    case 'text':
      return textPrinter(context, now)
    case 'brief': {
      const paint = painter(context.stdout, context.env)
      return {
        add: (report) => write(renderBrief(report, paint)),
        end: (summary) => write(summaryLine(summary)),
      }
    }
    case 'json':
      return jsonPrinter(write)
    case 'ndjson':
      return { add: (report) => write(toJson({ format: 1, ...report }, 0)) }
  }
}

function textPrinter(context: CliContext, now: () => number): CheckPrinter {
  const screen = screenOf(context.stdout, context.env)
  let gap = ''
  return {
    add(report) {
      context.stdout.write(`${gap}${renderReport(report, screen, now())}`)
      gap = '\n'
    },
    end(summary) {
      if (summary.total > 1) context.stdout.write(`${gap}${summaryLine(summary)}`)
    },
  }
}

/** One document, of which the parts are printed as they come. */
function jsonPrinter(write: (text: string) => void): CheckPrinter {
  let separator = '\n'
  return {
    strict: true,
    begin: () => write('{\n  "format": 1,\n  "domains": ['),
    add(report) {
      const indented = toJson(report).trimEnd().replaceAll('\n', '\n    ')
      write(`${separator}    ${indented}`)
      separator = ',\n'
    },
    end: () => write(separator === '\n' ? ']\n}\n' : '\n  ]\n}\n'),
  }
}

const STATUSES: readonly Verdict['status'][] = ['fine', 'refused', 'unprotected', 'unknown']

function summaryLine({ total, counts }: Summary): string {
  const parts = STATUSES.filter((status) => counts[status] > 0).map(
    (status) => `${grouped(counts[status])} ${status}`,
  )
  return `${grouped(total)} ${total === 1 ? 'domain' : 'domains'}: ${parts.join(', ') || 'none'}\n`
}

/** `5,000` */
export function grouped(count: number): string {
  return count.toLocaleString('en-US')
}
