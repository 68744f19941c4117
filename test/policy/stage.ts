/** A stage for the tests of a file, with a new domain for each test. */
import { afterAll, beforeAll, beforeEach } from 'vitest'
import type { MailDomain } from '../../src/testing/index.js'
import { Stage } from './scripted-network.js'

/** Set by {@link useStage} */
export let stage: Stage

/** A working domain in mode enforce, with the id `n1`: a new one for each test */
export let bob: MailDomain

/** Opens the stage before the tests of the file that calls it, and closes it afterwards. */
export function useStage(): void {
  let domains = 0
  beforeAll(async () => {
    stage = await Stage.open()
  })
  afterAll(() => stage.close())
  beforeEach(() => {
    bob = stage.domain(`bob${++domains}.example`, { mode: 'enforce', id: 'n1' })
    stage.world.forget()
  })
}

/** Returns the name of another domain of the same test. */
export function sibling(label: string): string {
  return bob.name.replace('bob', label)
}
