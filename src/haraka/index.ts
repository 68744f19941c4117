/**
 * A plugin for Haraka 3.0.4 and newer, by which its outbound mail holds to MTA-STS, and to DANE where
 * it is enabled. A line `mta-sts/haraka` in `config/plugins` loads it, `config/mta-sts.ini` has its
 * settings.
 *
 * ```sh
 * npm install mta-sts
 * echo mta-sts/haraka >> config/plugins
 * ```
 *
 * Guide: [Haraka](../../docs/haraka.md).
 *
 * @module mta-sts/haraka
 */
export { register } from './plugin.js'
