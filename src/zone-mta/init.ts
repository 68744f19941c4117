/**
 * The functions and names that ZoneMTA reads from a plugin.
 *
 * @module
 */
import { MtaStsError } from '../errors.js'
import { textOfThrown } from '../text.js'
import type { ZoneApp } from './host.js'
import { FILE, TITLE, ZonePlugin } from './plugin.js'

/** The name in ZoneMTA's log. */
export const title = TITLE

/**
 * Sets the plugin up in ZoneMTA, which calls this with the plugin's `app`. ZoneMTA would go on
 * without a plugin that fails to load, and send mail unprotected, so the process ends instead.
 */
export async function init(app: object): Promise<void> {
  const given = app as ZoneApp
  try {
    checkContext(given)
    if (given.manager?.context !== 'sender') return
    await new ZonePlugin(given).ready()
  } catch (error) {
    given.logger.error(TITLE, '%s', `ZoneMTA stops: ${textOfThrown(error)}`)
    process.exit(1)
  }
}

function checkContext({ config }: ZoneApp): void {
  const contexts = [config.enabled].flat()
  const isInSender = contexts.some((one) => one === true || one === '*' || one === 'sender')
  if (isInSender) return
  throw new MtaStsError(`${FILE}: enabled must be "sender", where messages are sent`, 'ECONFIG')
}
