/**
 * `@peculiar/x509`, for certificates that the authority of a mail world does not make: purposes,
 * path lengths, other extensions.
 *
 * It brings `tsyringe`, which does not load without a polyfill of decorator metadata and then finds
 * no metadata to read: the three functions exist while it loads.
 */
const METADATA_FUNCTIONS = ['getMetadata', 'getOwnMetadata', 'defineMetadata']
const noMetadata = (): undefined => undefined

for (const name of METADATA_FUNCTIONS) {
  Object.defineProperty(Reflect, name, { value: noMetadata, configurable: true, writable: true })
}
export const x509 = await import('@peculiar/x509')
for (const name of METADATA_FUNCTIONS) Reflect.deleteProperty(Reflect, name)
