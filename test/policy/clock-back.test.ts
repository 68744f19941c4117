import { expect, it } from 'vitest'
import { MtaSts } from '../../src/index.js'
import { createMailWorld } from '../../src/testing/index.js'

const DAY = 86_400_000

it.each([-8, -400, -20_000])(
  '[STS-54] keeps a policy that is used while the clock is %i days off, and when it is right again',
  async (days) => {
    await using world = await createMailWorld()
    const bob = world.domain('bob.example', { mode: 'enforce' })
    const clock = { off: 0 }
    const now = () => Date.now() + clock.off
    await using sts = new MtaSts({ ...world.options(), now, refreshInterval: 0 })
    const { expiresAt } = Object(await sts.getPolicy('bob.example'))
    bob.dns.fails('nxdomain')
    bob.policyHost.fails('down')

    clock.off = days * DAY
    expect(await sts.getPolicy('bob.example')).toMatchObject({ status: 'found' })
    clock.off = 0
    expect(await sts.getPolicy('bob.example')).toMatchObject({ status: 'found', expiresAt })

    // Its max_age, a week, still runs from the fetch
    clock.off = 8 * DAY
    expect(await sts.getPolicy('bob.example')).toMatchObject({ status: 'none' })
  },
)
