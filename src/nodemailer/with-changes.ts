/**
 * Objects of Nodemailer's with some properties of our own.
 *
 * @module
 */

/** Returns an object that is the given one, but for some properties. */
export function withChanges<T extends object>(target: T, changes: Partial<T>): T {
  return new Proxy(target, {
    get(_, key) {
      if (Object.hasOwn(changes, key)) return Reflect.get(changes, key)
      const found: unknown = Reflect.get(target, key, target)
      // Called on the object itself, whatever it keeps private
      return typeof found === 'function' ? found.bind(target) : found
    },
    set: (_, key, set) => Reflect.set(target, key, set, target),
  })
}
