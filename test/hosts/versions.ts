/**
 * The tested versions of the mail servers.
 *
 * @module
 */

export interface HostVersion {
  /** For the table and `--only` */
  name: string
  kind: 'haraka' | 'zone-mta'
  /** For npm */
  package: string
  version: string
  /** A Node line, if not the one that runs the tests */
  node?: number
  /** Part of every run; the others only with `--all` */
  newest?: true
}

export const VERSIONS: readonly HostVersion[] = [
  { name: 'haraka-3.3.4', kind: 'haraka', package: 'Haraka', version: '3.3.4', newest: true },
  {
    name: 'zone-mta-3.11.0',
    kind: 'zone-mta',
    package: '@zone-eu/zone-mta',
    version: '3.11.0',
    // Its package asks for 22.19 or higher
    node: 24,
    newest: true,
  },
  { name: 'haraka-3.1.7', kind: 'haraka', package: 'Haraka', version: '3.1.7' },
  { name: 'haraka-3.0.4', kind: 'haraka', package: 'Haraka', version: '3.0.4' },
  { name: 'zone-mta-3.10.3', kind: 'zone-mta', package: 'zone-mta', version: '3.10.3' },
]
