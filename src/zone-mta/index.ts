/**
 * A plugin for ZoneMTA 3.10 and newer, by which its senders hold to MTA-STS, and to DANE where it is
 * enabled. ZoneMTA's configuration enables it as `modules/mta-sts/zone-mta` in the context `sender`:
 *
 * ```toml
 * ["modules/mta-sts/zone-mta"]
 * enabled = "sender"
 * ```
 *
 * Guide: [ZoneMTA](../../docs/zone-mta.md).
 *
 * @module mta-sts/zone-mta
 */
export { init, title } from './init.js'
