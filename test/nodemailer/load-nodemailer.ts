/** Stands in for src/nodemailer/load-nodemailer.ts where the tests run with another line of Nodemailer. */
import nodemailer from 'nodemailer'
import { getLogger } from 'nodemailer/lib/shared/index.js'

export function loadNodemailer(): typeof nodemailer {
  return nodemailer
}

export function loadGetLogger(): typeof getLogger {
  return getLogger
}
