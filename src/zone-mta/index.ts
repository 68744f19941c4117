/**
 * `mta-sts/zone-mta`: a plugin for ZoneMTA, with its public hooks only. Enable it in the
 * configuration of ZoneMTA's plugins as `modules/mta-sts/zone-mta`, in the context `sender`.
 *
 * @module mta-sts/zone-mta
 */
export { init, title } from './init.js'
