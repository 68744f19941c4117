import { getEventListeners } from 'node:events'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { Deadline, onAbort, unlessAborted } from '../../src/net/deadline.js'

afterEach(() => vi.restoreAllMocks())

describe('onAbort', () => {
  test('calls the listener once when the signal is aborted', () => {
    const controller = new AbortController()
    const listener = vi.fn()
    onAbort(controller.signal, listener)
    expect(listener).not.toHaveBeenCalled()
    controller.abort()
    expect(listener).toHaveBeenCalledOnce()
  })

  test('calls the listener at once when the signal is aborted already', () => {
    const listener = vi.fn()
    onAbort(AbortSignal.abort(), listener)
    expect(listener).toHaveBeenCalledOnce()
  })

  test('does not call a listener that was removed', () => {
    const controller = new AbortController()
    const listener = vi.fn()
    onAbort(controller.signal, listener)()
    controller.abort()
    expect(listener).not.toHaveBeenCalled()
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
  })

  test('lets 100 operations share a signal without a warning of a leak', () => {
    const warned = vi.spyOn(process, 'emitWarning').mockReturnValue(undefined)
    const { signal } = new AbortController()
    for (let i = 0; i < 100; i++) onAbort(signal, () => undefined)
    expect(getEventListeners(signal, 'abort')).toHaveLength(100)
    expect(warned).not.toHaveBeenCalled()
  })
})

describe('unlessAborted', () => {
  test('rejects with the reason of the signal while the work goes on', async () => {
    const controller = new AbortController()
    const waiting = unlessAborted(new Promise(() => undefined), controller.signal)
    controller.abort(new Error('stop'))
    await expect(waiting).rejects.toThrow('stop')
  })

  test('resolves with the work, and leaves no listener', async () => {
    const { signal } = new AbortController()
    await expect(unlessAborted(Promise.resolve(1), signal)).resolves.toBe(1)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})

describe('Deadline', () => {
  test('follows a signal that is aborted already', () => {
    const deadline = new Deadline(1_000_000, 'the test', AbortSignal.abort(new Error('stop')))
    expect(deadline.signal.reason).toMatchObject({ message: 'stop' })
    deadline.clear()
  })

  test('leaves no listener on the signal that it follows', () => {
    const { signal } = new AbortController()
    new Deadline(1_000_000, 'the test', signal).clear()
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})
