/**
 * `mta-sts/haraka`: a plugin for Haraka. A line `mta-sts/haraka` in `config/plugins` loads it,
 * `config/mta-sts.ini` holds its settings.
 *
 * @module mta-sts/haraka
 */
export { register } from './plugin.js'
