/**
 * Style of the page of `--html`: light and dark, on paper and on a phone.
 *
 * @module
 */
export const STYLE = `
:root { color-scheme: light dark; --text: #1c2024; --dim: #5b6470; --page: #f6f7f9;
  --card: #ffffff; --line: #d9dee4; --bar: #5b8def; --good: #17703a; --bad: #b42318;
  --unsure: #8a5a00; --good-back: #e6f4ea; --bad-back: #fdeceb; --unsure-back: #fdf3dc; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ed; --dim: #a0a9b4; --page: #14171a;
  --card: #1d2125; --line: #363c43; --bar: #6f9df5; --good: #6fd08c; --bad: #ff8f85;
  --unsure: #f0c060; --good-back: #14301f; --bad-back: #3a1a18; --unsure-back: #362a10; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1rem; background: var(--page);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { margin: .25rem 0; }
.dim, td.dim { color: var(--dim); }
section { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: 1rem; margin: 1rem 0; }
.verdict { border-left: .3rem solid; border-radius: .25rem; padding: .5rem .75rem;
  margin: .25rem 0; }
.ready { border-color: var(--good); background: var(--good-back); }
.not-yet { border-color: var(--unsure); background: var(--unsure-back); }
.would-defer { border-color: var(--bad); background: var(--bad-back); }
.verdict a { color: inherit; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0;
  border-bottom: 1px solid var(--line); }
th { color: var(--dim); font-weight: 500; font-size: .875rem; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
.number { text-align: right; white-space: nowrap; }
.day { white-space: nowrap; }
.wide { min-width: 10rem; } .host { min-width: 9rem; }
span.refused { color: var(--bad); font-weight: 600; }
span.dane, span.not-refused { color: var(--unsure); }
svg { display: block; width: 100%; height: 5rem; border-bottom: 1px solid var(--line); }
.sessions rect { fill: var(--bar); }
.failed rect { fill: var(--unsure); } .failed.refused rect { fill: var(--bad); }
.axis { display: flex; justify-content: space-between; font-size: .875rem; color: var(--dim); }
@media (max-width: 40rem) { body { padding: .5rem; } section { padding: .75rem; }
  th, td { padding-right: .5rem; font-size: .875rem; } .optional { display: none; } }
@media print { :root { color-scheme: light; --text: #000000; --dim: #444444; --page: #ffffff;
  --card: #ffffff; --line: #aaaaaa; --bar: #5b8def; --good: #17703a; --bad: #b42318;
  --unsure: #8a5a00; --good-back: #ffffff; --bad-back: #ffffff; --unsure-back: #ffffff; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  section { border: 0; padding: 0; margin: 1.5rem 0; }
  h2, h3 { break-after: avoid; } tr, svg { break-inside: avoid; }
  * { print-color-adjust: exact; } }
`
