import { type Command, EXIT } from '../context.js'
export const watch: Command = { summary: 'prints what changes about a domain', help: '', async run() { return EXIT.fine } }
