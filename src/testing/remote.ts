/**
 * Another Node process in the mail world of a test.
 *
 * Loaded first, with the variables of `world.env()`, it puts the process into the world: DNS,
 * connections to addresses of the world, the date.
 *
 * ```sh
 * node --import mta-sts/testing/remote app.js
 * ```
 *
 * {@link joinMailWorld} is for a program that takes options: it returns those of a sender.
 *
 * Guide: [Testing a program that sends mail](../../docs/testing.md).
 *
 * @module mta-sts/testing/remote
 */
import type { SenderOptions } from './api.js'
import { isOptions, must } from './named.js'
import { lead } from './remote-lead.js'
import { invitationOf, RemoteLink } from './remote-link.js'
import { worldResolver } from './resolver.js'

/** The mail world of another process. */
export interface RemoteWorld extends Disposable {
  /** Returns options for senders, as `world.options()` */
  options(): SenderOptions
  /** Root certificate that senders trust, PEM */
  readonly ca: string
  /** Clock of the world */
  readonly clock: {
    /** Milliseconds since the epoch, in the world */
    readonly now: () => number
  }
  /** Leaves the world */
  close(): void
}

/**
 * Joins the mail world whose variables are in the environment.
 *
 * @example
 * const world = await joinMailWorld()
 * const transporter = nodemailer.createTransport(mtaStsTransport(world.options()))
 *
 * @throws MtaStsError `ENOWORLD` without these variables
 */
export async function joinMailWorld(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<RemoteWorld> {
  must('an object of environment variables', isOptions)('joinMailWorld()', environment)
  const link = new RemoteLink(invitationOf(environment.MTA_STS_WORLD))
  await link.ready()
  const resolver = worldResolver(link.invitation.dns)
  const { ca, connect, now } = link
  const close = (): void => {
    resolver.cancel()
    link.close()
  }
  return {
    options: () => ({ name: link.invitation.name, resolver, ca, connect, now }),
    ca,
    clock: { now },
    close,
    [Symbol.dispose]: close,
  }
}

// Only for `--import` and `--require`: a program that imports it calls joinMailWorld
if (isPreloaded(process.execArgv, process.env.NODE_OPTIONS) && process.env.MTA_STS_WORLD) {
  lead(new RemoteLink(invitationOf(process.env.MTA_STS_WORLD)))
}

function isPreloaded(args: readonly string[], options = ''): boolean {
  return /(?:--import|--require|-r)[= ]\S*testing[/.]remote/.test([...args, options].join(' '))
}
