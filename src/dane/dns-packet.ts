/**
 * Loads `dns-packet` when it is first needed: importing `mta-sts/dane` without it must say what to
 * install.
 *
 * @module
 */
import { missingPackage } from '../errors.js'
import { requireInstalled } from '../installed.js'

/** @throws MtaStsError of code `EPEER` if it is not installed */
export function dnsPacket(): typeof import('dns-packet') {
  try {
    return typeof require === 'function' ? require('dns-packet') : requireInstalled()('dns-packet')
  } catch (cause) {
    throw missingPackage('mta-sts/dane', 'dns-packet', cause)
  }
}
