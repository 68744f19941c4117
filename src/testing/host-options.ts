/**
 * Checks of the options of MX hosts and smart hosts.
 *
 * @module
 */
import type { SmartHostOptions } from './host-api.js'
import {
  type Check,
  checkFields,
  checkSome,
  isFilledText,
  isFlag,
  listOf,
  must,
  wholeFrom,
} from './named.js'

/** Options of `world.mx()`. */
export const MX_OPTIONS = { requireTls: isFlag, ipv6: isFlag }

const LOGIN = { user: isFilledText, pass: isFilledText, accessToken: isFilledText }
const isLogin: Check = (field, value) => {
  checkFields(field, value, LOGIN)
  checkSome(field, value, ['user'])
  checkSome(field, value, ['pass', 'accessToken'])
}

const HOST = {
  ...MX_OPTIONS,
  port: wholeFrom(1, 65_535),
  secure: isFlag,
  auth: (field: string, value: unknown): void => {
    const isList = Array.isArray(value)
    if (isList) listOf(isLogin, '[]')(field, value)
    else isLogin(field, value)
    must('a login or more', () => !isList || value.length > 0)(field, value)
  },
  relays: isFlag,
}

/** Throws a TypeError for wrong options of a smart host. */
export function checkHostOptions(field: string, options: SmartHostOptions): void {
  checkFields(field, options, HOST)
}
