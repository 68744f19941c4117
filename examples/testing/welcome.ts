/** A program that welcomes new users; the tests beside it show what it does when mail goes wrong. */
import type { Transporter } from 'nodemailer'

export interface User {
  name: string
  email: string
}

/** Says whether the message was sent, is to be tried again, or never will be. */
export async function sendWelcome(
  transporter: Transporter,
  user: User,
): Promise<'sent' | 'later' | 'never'> {
  try {
    await transporter.sendMail({
      from: 'hello@shop.example',
      to: user.email,
      subject: `Welcome, ${user.name}!`,
      text: 'It is good to have you.',
    })
    return 'sent'
  } catch (error) {
    // Final is only the receiver's own no. A refusal (EMTASTS) is temporary, as is all the rest
    const final = error instanceof Error && 'permanent' in error && error.permanent === true
    return final ? 'never' : 'later'
  }
}

/** Welcomes everybody in the queue. Who has to wait is in the queue that is returned. */
export async function welcomeAll(transporter: Transporter, queue: User[]): Promise<User[]> {
  const waiting: User[] = []
  for (const user of queue) {
    if ((await sendWelcome(transporter, user)) === 'later') waiting.push(user)
  }
  return waiting
}
