/** Version in Nodemailer's log and X-Mailer header. */
export const VERSION = '0.1.0'
