/**
 * The SMTP server of `smtp-server`, of which a world makes one for each connection.
 *
 * @module
 */
import type { SecureContext } from 'node:tls'
import type { SmtpServerClass } from './optional-packages.js'

/** Returns a class whose servers share TLS contexts, because each takes a millisecond to make. */
export function sharingContexts(Base: SmtpServerClass): SmtpServerClass {
  const contexts = new Map<string, SecureContext>()
  return class extends Base {
    override updateSecureContext(
      ...args: Parameters<InstanceType<typeof Base>['updateSecureContext']>
    ) {
      const { key, cert, minVersion, maxVersion, ciphers, secure } = this.options
      const settings = JSON.stringify([key, cert, minVersion, maxVersion, ciphers])
      const known = contexts.get(settings)
      // With TLS from the first byte on, the method sets other options too
      if (known !== undefined && !secure) {
        this.secureContext = new Map([['*', known]])
        return
      }
      super.updateSecureContext(...args)
      const made = this.secureContext.get('*')
      if (made !== undefined) contexts.set(settings, made)
    }
  }
}
