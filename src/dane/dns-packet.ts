/**
 * Loads `dns-packet` when it is first needed: importing `mta-sts/dane` without it must say what to
 * install.
 *
 * @module
 */
import { createRequire } from 'node:module'
import { missingPackage } from '../errors.js'

/** @throws MtaStsError of code `EPEER` if it is not installed */
export function dnsPacket(): typeof import('dns-packet') {
  try {
    // The published program is CommonJS: a written-out `require` is seen by whoever bundles it
    return typeof require === 'function'
      ? require('dns-packet')
      : createRequire(import.meta.url)('dns-packet')
  } catch (cause) {
    throw missingPackage('mta-sts/dane', 'dns-packet', cause)
  }
}
