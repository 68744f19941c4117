/**
 * What is printed on the pages, and how to have it printed again.
 *
 * @module
 */

/** A block of the language `console`: a command behind `$`, and what it prints. */
export interface Screen {
  page: string
  /** The command, its continued lines joined */
  command: string
  /**
   * `world`: in a mail world with the domains of docs/command.md. `files`: in a folder with the files of
   * docs/command.md. `sqlite`: the same, and this Node has `node:sqlite` or says what it lacks.
   * `npm`: as it is, in the repository.
   */
  where: 'world' | 'files' | 'sqlite' | 'npm'
}

const onCommandPage = (command: string, where: Screen['where'] = 'files'): Screen => ({
  page: 'docs/command.md',
  command,
  where,
})

export const SCREENS: readonly Screen[] = [
  onCommandPage('mta-sts check --connect broken.example', 'world'),
  { page: 'CONTRIBUTING.md', command: 'npm run demo', where: 'npm' },
  ...['check', 'watch', 'generate', 'report', 'cache', 'reports'].map((name) =>
    onCommandPage(`mta-sts ${name} --help`),
  ),
  onCommandPage(
    'mta-sts generate --domain example.com --mx mx1.example.com mx2.example.com --id 20260801T120000Z',
  ),
  onCommandPage('mta-sts check good.example', 'world'),
  onCommandPage('mta-sts report report.json'),
  onCommandPage('mta-sts report Maildir'),
  onCommandPage('mta-sts report --details report.json'),
  onCommandPage('mta-sts cache --store sqlite:mta-sts.db', 'sqlite'),
]

/** The command and the text of a block, which begins with `$ `. */
export function readScreen(code: string): { command: string; output: string } {
  const [, typed = '', output = ''] = /^\$ ((?:.*\\\n)*.*\n)([\s\S]*)$/.exec(code) ?? []
  return { command: typed.replace(/\\\n */g, '').trim(), output }
}
