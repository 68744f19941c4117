/** Stands in for src/nodemailer/load-nodemailer.ts where the tests run with another line of Nodemailer. */
import nodemailer from 'nodemailer'

export function loadNodemailer(): typeof nodemailer {
  return nodemailer
}
