import { getEventListeners } from 'node:events'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { Deadline, onAbort, unlessAborted, withinTime } from '../../src/net/deadline.js'

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

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

describe('withinTime', () => {
  const limit = { milliseconds: 1000, late: () => new Error('too late') }

  test('rejects with the error of the limit for a call that takes longer', async () => {
    vi.useFakeTimers()
    const waiting = withinTime(limit, () => new Promise(() => undefined))
    const late = expect(waiting).rejects.toThrow('too late')
    await vi.advanceTimersByTimeAsync(1000)
    await late
  })

  test.each([
    ['a promise', () => Promise.resolve(1)],
    ['a value', () => 1],
  ])('resolves with %s in time, and leaves no timer', async (_, call) => {
    vi.useFakeTimers()
    await expect(withinTime(limit, call)).resolves.toBe(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('rejects with the error of a call that throws, and leaves no timer', async () => {
    vi.useFakeTimers()
    const call = () => {
      throw new Error('broken')
    }
    await expect(withinTime(limit, call)).rejects.toThrow('broken')
    expect(vi.getTimerCount()).toBe(0)
  })

  test.each([true, false])(
    'background %s decides whether the process stays alive',
    (background) => {
      const unref = vi.fn()
      vi.spyOn(globalThis, 'setTimeout').mockReturnValue({ unref } as never)
      void withinTime({ ...limit, background }, () => 1)
      expect(unref).toHaveBeenCalledTimes(background ? 1 : 0)
    },
  )
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
