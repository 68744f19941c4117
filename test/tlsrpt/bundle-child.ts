/** Bundling of a program that tests start many times: compiling TypeScript each time takes seconds. */
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'

/** Bundles a program into one file, `child.cjs`, in a folder. */
export async function bundleChild(program: URL, folder: string): Promise<void> {
  await build({
    entry: { child: fileURLToPath(program) },
    outDir: folder,
    format: 'cjs',
    noExternal: [/.*/],
    removeNodeProtocol: false,
    config: false,
    silent: true,
  })
}
