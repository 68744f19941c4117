/** The pages of the site by group, in the order of its navigation. The README is its front page. */
export const pages = {
  Guides: [
    'docs/roll-out.md',
    'docs/migration.md',
    'docs/smart-host.md',
    'docs/own-sender.md',
    'docs/operating.md',
    'docs/own-store.md',
    'docs/dane.md',
    'docs/reports.md',
    'docs/reading-reports.md',
    'docs/command.md',
    'docs/testing.md',
    'docs/haraka.md',
    'docs/zone-mta.md',
  ],
  Reference: ['docs/control-flow.md', 'docs/errors.md', 'docs/rules.md', 'docs/benchmarks.md'],
  Project: ['SECURITY.md', 'CHANGELOG.md', 'CONTRIBUTING.md'],
} as const
