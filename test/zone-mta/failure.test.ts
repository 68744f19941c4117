import { describe, expect, it } from 'vitest'
import { unproved, zoneError } from '../../src/zone-mta/failure.js'

const fails = (code: string, permanent: boolean) =>
  Object.assign(new Error('why'), { code, permanent })

describe('an error in the form of ZoneMTA', () => {
  it.each([
    ['a refusal', fails('EMTASTS', false), 'policy', 'Policy error: why'],
    ['a DNS failure', fails('EDNS', false), 'dns', 'DNS Error: why'],
    ['a null MX that may be forged', fails('ENULLMX', false), 'dns', 'DNS Error: why'],
    ['an unreachable host', fails('ECONNECTION', false), 'network', 'Network error: why'],
    ['anything else', new Error('why'), 'network', 'Network error: why'],
  ])('defers for %s', (_, error, category, response) => {
    expect(zoneError(error)).toMatchObject({ category, response, temporary: true, action: 'defer' })
  })

  it.each([
    ['a domain that does not exist', fails('EDNS', true)],
    ['a null MX', fails('ENULLMX', true)],
    ['an address that cannot be one', Object.assign(new Error('why'), { code: 'EDOMAIN' })],
  ])('bounces for %s', (_, error) => {
    const found = zoneError(error)
    expect(found.temporary).toBe(false)
    expect(found).not.toHaveProperty('action')
  })

  it('has a name for which ZoneMTA prints no stack', () => {
    expect(zoneError(new Error('why')).name).not.toMatch(/Error$/)
  })

  it('defers a message whose connection has not proved enough', () => {
    expect(unproved('a.example', 'the connection has proved nothing')).toMatchObject({
      category: 'policy',
      temporary: true,
      action: 'defer',
      message: expect.stringContaining('Not delivered to a.example: the connection has proved'),
    })
  })
})
